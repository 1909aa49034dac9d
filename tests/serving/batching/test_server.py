"""Batching as clients and operators of the server meet it."""

import queue
from concurrent import futures

import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceStub,
)

from tests.support import served
from tests.support.asking import SECONDS, ask, failure
from tests.support.rest_client import Client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server

_PARAMETERS = (
    "max_batch_size { value: 4 } num_batch_threads { value: 1 } "
    "batch_timeout_micros { value: 2000 } max_enqueued_batches { value: 100 } "
    'thread_pool_name { value: "pool" }'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batching")
    base = served.put(folder / "half", 7)
    parameters, monitoring = folder / "batching.config", folder / "counts"
    parameters.write_text(_PARAMETERS)
    monitoring.write_text("prometheus_config { enable: true }")
    flags = Flags(
        model_base_path=str(base),
        model_name="half",
        enable_batching=True,
        batching_parameters_file=str(parameters),
        monitoring_config_file=str(monitoring),
        port=0,
        rest_api_port=-1,
    )
    with Server(flags) as running:
        yield running


@pytest.fixture
def prediction(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield PredictionServiceStub(channel)


@pytest.fixture
def client(server):
    opened = Client(server.http_port)
    yield opened
    opened.close()


def counted(client):
    """The samples of the batching metrics."""
    _, text = client.ask("GET", "/monitoring/prometheus/metrics")
    return {
        sample.name.removeprefix(":tensorflow:serving:batching_session:"): (
            sample.value
        )
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if "batching_session" in sample.name
        and sample.labels.get("le") in (None, "+Inf")
        and sample.labels.get("thread_pool_name") in (None, "pool")
        and "padding" not in sample.name
    }


def test_clients_of_both_ports_meet_in_batches(server, client, prediction):
    before = counted(client)

    def grpc_client(number):
        request = ask(x=np.float32([[number]]))
        response = prediction.Predict(request, timeout=SECONDS)
        return response.outputs["y"].float_val[0]

    def rest_client(number):
        own = Client(server.http_port)
        answer = own.post("half:predict", {"instances": [[number]]})
        own.close()
        assert answer[0] == 200
        return answer[1]["predictions"][0][0]

    with futures.ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(rest_client if n % 4 == 0 else grpc_client, n)
            for n in range(40)
        ]
        answers = [job.result(SECONDS) for job in jobs]
    assert answers == [n / 2 + 2 for n in range(40)]
    added = {k: v - before.get(k, 0) for k, v in counted(client).items()}
    assert 10 <= added["wrapped_run_count_total"] < 40
    assert added["queuing_latency_count"] == 40
    assert added["queuing_latency_sum"] > 0
    assert added["input_batch_size_sum"] == 40
    assert added["processed_batch_size_sum"] == 40


def test_errors_on_the_wire(client, prediction):
    scalar = "Batching Run() input tensors must have at least one dimension"
    assert failure(prediction.Predict, ask(x=np.float32(1))) == (
        "INVALID_ARGUMENT",
        scalar,
    )
    assert client.post("half:predict", {"inputs": 1}) == (
        400,
        {"error": scalar},
    )
    large = "Task size 5 is larger than maximum input batch size 4"
    assert failure(prediction.Predict, ask(x=np.zeros([5, 1], "f4"))) == (
        "INVALID_ARGUMENT",
        large,
    )
    request = {"signature_name": "subtract", "inputs": {"a": [1, 2], "b": [1]}}
    assert client.post("half:predict", request) == (
        400,
        {
            "error": "Batching Run() input tensors must have equal "
            "0th-dimension size"
        },
    )
    request = ask("spin", count=np.int32([2**31 - 1]))
    code, _ = failure(prediction.Predict, request, seconds=0.2)
    assert code == "DEADLINE_EXCEEDED"
    assert client.post("half:predict", {"inputs": [[1]]})[0] == 200


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Batches of two rows, which are waited for; one runs, one may wait."""
    folder = tmp_path_factory.mktemp("pairs")
    parameters = folder / "batching.config"
    parameters.write_text(
        "max_batch_size { value: 2 } num_batch_threads { value: 1 } "
        "batch_timeout_micros { value: 60000000 } "
        "max_enqueued_batches { value: 1 }"
    )
    flags = Flags(
        model_base_path=str(served.put(folder / "half", 7)),
        model_name="half",
        enable_batching=True,
        batching_parameters_file=str(parameters),
        port=0,
        rest_api_port=-1,
        rest_api_timeout_in_ms=100,
    )
    with Server(flags) as running:
        yield running


@pytest.fixture
def predict(pairs):
    with grpc.insecure_channel(f"127.0.0.1:{pairs.port}") as channel:
        yield PredictionServiceStub(channel).Predict


def test_unequal_shapes_fail_all_of_a_batch(predict):
    calls = [
        predict.future(ask(x=np.zeros([1, width], "f4")), timeout=SECONDS)
        for width in (1, 2)
    ]
    for call in calls:
        assert call.exception().code().name == "FAILED_PRECONDITION"
        assert call.exception().details() == (
            "Tensors with name 'serving_default_x:0' from different tasks "
            "have different shapes and padding is turned off. Set "
            "pad_variable_length_inputs to true, or ensure that all tensors "
            "with the same name have equal dimensions starting with the "
            "first dim."
        )


def test_an_output_without_rows(predict):
    assert failure(predict, ask("join", text=[b"a", b"b"])) == (
        "FAILED_PRECONDITION",
        "Batched output tensor has 0 dimensions",
    )


def test_a_queue_is_full(predict):
    """Of three batches one can run and one can wait."""
    request = ask("spin", count=np.int32([2**31 - 1] * 2))
    calls = [predict.future(request, timeout=SECONDS) for _ in range(3)]
    done: queue.Queue = queue.Queue()
    for call in calls:
        call.add_done_callback(done.put)
    refused = done.get(timeout=SECONDS).exception()
    for call in calls:
        call.cancel()
    assert (refused.code().name, refused.details()) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; "
        "currently 1 batches enqueued and max_enqueued_batches is 1",
    )


def test_out_of_time_in_the_queue(pairs):
    client = Client(pairs.http_port)
    request = {"signature_name": "shout", "inputs": ["a"]}
    assert client.post("half:predict", request) == (
        429,
        {"error": "Run() timeout exceeded while waiting in batching queue"},
    )
    client.close()


@pytest.mark.parametrize("own", [None, "max_batch_size { value: 1 }"])
def test_each_version_may_have_parameters_of_its_own(tmp_path, own):
    """With the flag, a version without a file is not batched."""
    base = served.put(tmp_path, 1)
    if own:
        (base / "1" / "batching_params.pbtxt").write_text(own)
    flags = Flags(
        model_base_path=str(base),
        enable_batching=True,
        enable_per_model_batching_parameters=True,
        port=0,
        rest_api_port=-1,
    )
    with Server(flags) as server:
        client = Client(server.http_port)
        code, answer = client.post("default:predict", {"inputs": [[1], [2]]})
        client.close()
    if own:
        assert answer == {
            "error": "Task size 2 is larger than maximum input batch size 1"
        }
    else:
        assert code == 200


def test_parameters_of_no_use(tmp_path):
    base = str(served.put(tmp_path / "model", 1))
    file = tmp_path / "batching.config"
    flags = {"model_base_path": base, "batching_parameters_file": str(file)}
    with pytest.raises(TokenRLError, match="of no use without"):
        Server(Flags(**flags))
    with pytest.raises(TokenRLError, match="Cannot read"):
        Server(Flags(**flags, enable_batching=True))
    file.write_text("max_batch_size { value: 0 }")
    with pytest.raises(TokenRLError, match="Correct .* must be positive"):
        Server(Flags(**flags, enable_batching=True))
    (tmp_path / "model" / "1" / "batching_params.pbtxt").write_text("nonsense")
    flags = Flags(
        model_base_path=base,
        enable_batching=True,
        enable_per_model_batching_parameters=True,
        max_num_load_retries=0,
        port=0,
    )
    with pytest.raises(
        TokenRLError, match="text-format tensorflow.serving.Batch"
    ):
        Server(flags).start()
