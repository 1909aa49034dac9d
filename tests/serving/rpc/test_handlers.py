"""What all RPCs share: broken messages, clients that go away."""

import random
import threading

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest

from tests.support.asking import SECONDS, X, ask, examples, failure, spec

METHODS = [
    "PredictionService/Classify",
    "PredictionService/GetModelMetadata",
    "PredictionService/MultiInference",
    "PredictionService/Predict",
    "PredictionService/Regress",
    "ModelService/GetModelStatus",
    "ModelService/HandleReloadConfigRequest",
]


def raw(channel, method):
    """A method that sends bytes as they are."""
    return channel.unary_unary(f"/tensorflow.serving.{method}")


@pytest.mark.parametrize("method", METHODS)
def test_bytes_that_are_no_message(channel, method):
    code, text = failure(raw(channel, method), b"\xff\xff\xff")
    assert code == "INTERNAL"
    assert text.startswith("The message is no tensorflow.serving.")


def test_methods_that_are_not_there(channel):
    for method in ("PredictionService/Predic", "SessionService/SessionRun"):
        assert failure(raw(channel, method), b"")[0] == "UNIMPLEMENTED"
    for method in ("Profile", "Monitor"):
        call = channel.unary_unary(f"/tensorflow.ProfilerService/{method}")
        assert failure(call, b"")[0] == "UNIMPLEMENTED"


def test_a_client_that_cancels_frees_the_thread(server, prediction):
    call = prediction.Predict.future(
        ask("spin", count=np.int32([2**31 - 1])), timeout=SECONDS
    )
    (version,) = server._repository.versions("half")
    while not version.users:
        threading.Event().wait(0.001)
    call.cancel()
    while version.users:
        threading.Event().wait(0.001)
    response = prediction.Predict(ask(x=X), timeout=SECONDS)
    assert list(response.outputs["y"].float_val) == [2.5, 3.0]


def test_a_connection_that_breaks_frees_the_thread(server):
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    call = raw(channel, "PredictionService/Predict").future(
        ask("spin", count=np.int32([2**31 - 1])).SerializeToString()
    )
    (version,) = server._repository.versions("half")
    while not version.users:
        threading.Event().wait(0.001)
    channel.close()
    while version.users:
        threading.Event().wait(0.001)
    assert call.code() is grpc.StatusCode.CANCELLED


def mutated(message, noise):
    """A message with a few bytes changed, cut or doubled."""
    data = bytearray(message)
    for _ in range(noise.randint(1, 6)):
        place = noise.randrange(len(data) + 1)
        kind = noise.randrange(3)
        if kind == 0 and place < len(data):
            data[place] = noise.randrange(256)
        elif kind == 1:
            del data[place : place + noise.randint(1, 4)]
        else:
            data[place:place] = noise.randbytes(noise.randint(1, 4))
    return bytes(data)


CODES = {
    "OK",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "UNIMPLEMENTED",
}


def outcome(method, message):
    try:
        method(message, timeout=SECONDS)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def test_a_thousand_malformed_messages(channel, prediction):
    """No crash, a clear code, and the next request is answered."""
    noise = random.Random(5)
    whole = [
        ask(x=X).SerializeToString(),
        ask("shout", text=[b"abc", b"d"]).SerializeToString(),
        ClassificationRequest(
            model_spec=spec("judge"), input=examples(1.0, context=2.0)
        ).SerializeToString(),
    ]
    methods = [raw(channel, name) for name in METHODS[:-1]]
    seen = set()
    for number in range(1000):
        message = noise.randbytes(noise.randint(1, 80))
        if number % 4:
            message = mutated(noise.choice(whole), noise)
        code, text = outcome(noise.choice(methods), message)
        assert code in CODES, (code, text, message)
        assert "Exception calling application" not in text
        seen.add(code)
    assert {"OK", "INTERNAL", "INVALID_ARGUMENT"} <= seen
    response = prediction.Predict(ask(x=X), timeout=SECONDS)
    assert list(response.outputs["y"].float_val) == [2.5, 3.0]
