import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceStub,
)

from tests.support import served
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server

SECONDS = 20


def ask(signature, **inputs):
    request = PredictRequest()
    request.model_spec.name = "default"
    request.model_spec.signature_name = signature
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return request


def stub(port, **options):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", list(options.items()))
    return PredictionServiceStub(channel), channel


def test_a_port_in_use_is_said_before_the_models_are_loaded(tmp_path):
    base = served.put(tmp_path, 1)
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"not a proto")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TokenRLError) as caught:
            Server(Flags(model_base_path=str(base), port=port)).start()
    assert str(caught.value) == (
        f"Cannot listen on 127.0.0.1:{port}: Address already in use. Stop "
        "what holds the port, or choose another with --port (0 picks a free "
        "one)."
    )


def test_two_servers_do_not_share_a_port(server, tmp_path):
    base = served.put(tmp_path, 1)
    with pytest.raises(TokenRLError, match="already in use"):
        Server(Flags(model_base_path=str(base), port=server.port)).start()


def test_the_loopback_interface_only(server):
    name = socket.gethostname()
    others = {i[4][0] for i in socket.getaddrinfo(name, None, socket.AF_INET)}
    for address in others:
        if address.startswith("127."):
            continue
        with socket.socket() as probe:
            probe.settimeout(5)
            assert probe.connect_ex((address, server.port)) != 0


def test_messages_of_more_than_four_megabytes(tmp_path):
    flags = Flags(model_base_path=str(served.put(tmp_path, 1)), port=0)
    with Server(flags) as server:
        limits = {"grpc.max_receive_message_length": -1}
        prediction, channel = stub(server.port, **limits)
        values = np.zeros([2_000_000, 1], np.float32)
        with channel:
            response = prediction.Predict(
                ask("serving_default", x=values), timeout=SECONDS
            )
    assert len(response.outputs["y"].float_val) == 2_000_000


def test_stopping_finishes_the_requests_begun(tmp_path):
    server = Server(Flags(model_base_path=str(served.put(tmp_path, 1)), port=0))
    server.start()
    prediction, channel = stub(server.port)
    with channel:
        prediction.Predict(ask("spin", count=np.int32([1])), timeout=SECONDS)
        answer = prediction.Predict.future(
            ask("spin", count=np.int32([100_000])), timeout=SECONDS
        )
        (version,) = server._repository.versions("default")
        while not version.users:
            threading.Event().wait(0.001)
        server.stop()
        assert list(answer.result().outputs["done"].int_val) == [100_000]
        with pytest.raises(grpc.RpcError) as caught:
            prediction.Predict(ask("spin", count=np.int32([1])), timeout=1)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not version.users


def test_a_request_that_outlives_the_grace_is_cancelled(tmp_path):
    server = Server(Flags(model_base_path=str(served.put(tmp_path, 1)), port=0))
    server.start()
    prediction, channel = stub(server.port)
    with channel:
        answer = prediction.Predict.future(
            ask("spin", count=np.int32([2**31 - 1]))
        )
        (version,) = server._repository.versions("default")
        while not version.users:
            threading.Event().wait(0.001)
        server.stop(grace=0.01)
        with pytest.raises(grpc.RpcError):
            answer.result(timeout=SECONDS)
        while version.users:
            threading.Event().wait(0.001)


def test_versions_change_under_load_without_a_lost_request(tmp_path):
    base = served.put(tmp_path, 1)
    flags = Flags(
        model_base_path=str(base), port=0, file_system_poll_wait_seconds=0
    )
    server = Server(flags)
    server.start()
    prediction, channel = stub(server.port)
    request = ask("serving_default", x=np.float32([[1.0]]))
    done = threading.Event()

    def ask_on():
        seen = []
        while not done.is_set() or len(seen) < 5:
            response = prediction.Predict(request, timeout=SECONDS)
            seen.append(response.model_spec.version.value)
        return seen

    with channel, futures.ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask_on) for _ in range(4)]
        try:
            for number in range(2, 6):
                served.put(base, number)
                server._repository.poll()
            shutil.rmtree(base / "5")
            server._repository.poll()
        finally:
            done.set()
        seen = {number for answer in answers for number in answer.result()}
        last = prediction.Predict(request, timeout=SECONDS)
    server.stop()
    assert seen <= {1, 2, 3, 4, 5}
    assert last.model_spec.version.value == 4


def run(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tf_tokenrl.serving", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command(tmp_path):
    """Starts, prints its port, refuses XLA, stops cleanly on SIGTERM."""
    base = served.put(tmp_path, 1)
    with run(
        "--port=0",
        f"--model_base_path={base}",
        "--rest_api_port=-1",
        "--prefer_tflite_model",
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("Running gRPC ModelServer at 127.0.0.1:")
            port = int(line.split(":")[1].split()[0])
            line = process.stdout.readline()
            assert line.startswith("Exporting HTTP/REST API at 127.0.0.1:")
            port_of_rest = int(line.split(":")[1].split()[0])
            with socket.create_connection(("127.0.0.1", port_of_rest)):
                pass
            prediction, channel = stub(port)
            with channel, pytest.raises(grpc.RpcError) as caught:
                prediction.Predict(
                    ask("compiled", x=np.float32([2])), timeout=SECONDS
                )
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    text = caught.value.details()
    assert "XLA compilation disabled\n\t [[{{function_node " in text
    assert "does not act on: --prefer_tflite_model." in errors
    assert "Traceback" not in errors
    assert process.returncode == 0


def test_the_command_ends_with_one_sentence_when_it_cannot_start():
    with run("--model_base_pth=/m") as process:
        output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert not output
    assert errors == (
        'tf-tokenrl serve: Unknown flag "--model_base_pth". Did you mean '
        '"--model_base_path"? "--help" lists the flags.\n'
    )
