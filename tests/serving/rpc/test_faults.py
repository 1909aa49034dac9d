"""What must not bring the server down, or let it answer wrongly."""

import socket
import subprocess
import sys

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceStub,
)

from tests.support import served
from tests.support.asking import SECONDS, X, ask, failure
from tf_tokenrl.serving import Flags, Server

MEBIBYTE = 2**20
UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def answer(predict, request, **options):
    y = predict(request, timeout=SECONDS, **options).outputs["y"]
    return list(y.float_val)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Version 1 is whole; what comes later is not."""
    base = served.put(tmp_path_factory.mktemp("damaged") / "half", 1)
    flags = Flags(
        model_base_path=str(base),
        model_name="half",
        port=0,
        file_system_poll_wait_seconds=0,
        max_num_load_retries=0,
    )
    with (
        Server(flags) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}", UNLIMITED) as channel,
    ):
        yield base, server, PredictionServiceStub(channel).Predict


def half_written(version):
    weights = version / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def truncated(version):
    graph = version / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])


def scrambled(version):
    graph = version / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[::-1])


def emptied(version):
    (version / "saved_model.pb").write_bytes(b"")


def without_weights(version):
    for file in (version / "variables").iterdir():
        file.unlink()


def with_broken_records(version):
    records = version / "assets.extra" / "tf_serving_warmup_requests"
    records.parent.mkdir()
    records.write_bytes(b"no record" * 10)


DAMAGES = [
    half_written,
    truncated,
    scrambled,
    emptied,
    without_weights,
    with_broken_records,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_is_never_served(damaged, damage, tmp_path):
    base, server, predict = damaged
    number = 2 + DAMAGES.index(damage)
    damage(served.put(tmp_path, number) / str(number))
    (tmp_path / str(number)).rename(base / str(number))
    server._repository.poll()
    states = {
        version.number: version.state.name
        for version in server._repository.versions("half")
    }
    assert (states[1], states[number]) == ("AVAILABLE", "END")
    assert server._repository.versions("half")[0].error.text
    assert answer(predict, ask(x=X)) == [2.5, 3.0]


def test_a_tensor_of_16_megabytes(damaged):
    _, _, predict = damaged
    values = np.full([4 * MEBIBYTE, 1], 3.0, np.float32)
    request = ask(x=values)
    assert request.ByteSize() > 16 * MEBIBYTE
    y = predict(request, timeout=SECONDS).outputs["y"].float_val
    assert len(y) == 4 * MEBIBYTE
    assert (y[0], y[-1]) == (3.5, 3.5)
    big = ask("shout", text=[b"a" * (16 * MEBIBYTE)])
    (loud,) = predict(big, timeout=SECONDS).outputs["loud"].string_val
    assert loud == b"A" * (16 * MEBIBYTE)


def test_a_shape_that_asks_for_all_the_memory(damaged):
    _, _, predict = damaged
    request = ask(x=np.float32([[1.0]]))
    request.inputs["x"].tensor_shape.dim[0].size = 2**40
    assert failure(predict, request) == (
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    )
    assert answer(predict, ask(x=X)) == [2.5, 3.0]


def test_garbage_instead_of_http2(damaged):
    _, server, predict = damaged
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"\x00" * 100 + b"GET / HTTP/1.1\r\n\r\n")
        connection.settimeout(SECONDS)
        while connection.recv(1024):
            pass
    assert answer(predict, ask(x=X)) == [2.5, 3.0]


def test_the_port_stays_closed_until_a_model_is_there(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = tmp_path / "half"
    base.mkdir()
    flags = Flags(
        model_base_path=str(base),
        model_name="half",
        port=port,
        file_system_poll_wait_seconds=0.05,
    )
    server = Server(flags)
    look = server._repository._look_all

    def look_late():
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0
        if not (base / "1").exists():
            served.put(base, 1)
        look()

    server._repository._look_all = look_late
    with (
        server,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        server._repository._look_all = look
        predict = PredictionServiceStub(channel).Predict
        assert answer(predict, ask(x=X)) == [2.5, 3.0]


def start(base, port, socket_path):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tf_tokenrl.serving",
            f"--port={port}",
            f"--grpc_socket_path={socket_path}",
            "--model_name=half",
            f"--model_base_path={base}",
            "--max_num_load_retries=0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_killed_and_started_again_on_the_same_port_and_socket(tmp_path):
    base = served.put(tmp_path / "half", 1)
    socket_path, port = tmp_path / "grpc", 0
    for _ in range(2):
        with start(base, port, socket_path) as process:
            try:
                line = process.stdout.readline()
                port = int(line.split(":")[1].split()[0])
                for address in (f"127.0.0.1:{port}", f"unix:{socket_path}"):
                    with grpc.insecure_channel(address) as channel:
                        predict = PredictionServiceStub(channel).Predict
                        assert answer(
                            predict, ask(x=X), wait_for_ready=True
                        ) == [2.5, 3.0]
            finally:
                process.kill()
        assert process.returncode == -9


@pytest.mark.slow
def test_models_that_all_fail_end_the_process_with_255(tmp_path):
    base = served.put(tmp_path / "half", 1)
    truncated(base / "1")
    with start(base, 0, tmp_path / "grpc") as process:
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 255
    assert not output
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become "
        "available: {{{name: half version: 1} due to error: "
    ) in errors.splitlines()[-1]
