"""Ports, sockets, and what is offered besides the two services."""

import threading

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceStub,
)

from tests.support import served
from tests.support.asking import SECONDS, X, ask, failure
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.serving.rpc.listener import Listener


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("listener")
    served.put(made / "half", 1)
    return made


def flags(folder, **more):
    return Flags(
        model_base_path=str(folder / "half"), model_name="half", port=0, **more
    )


@pytest.fixture(scope="module")
def limited(folder):
    """One request at a time, of a kilobyte, on a port and a socket."""
    given = flags(
        folder,
        grpc_max_threads=1,
        grpc_socket_path=f"{folder}/socket",
        grpc_channel_arguments="grpc.max_receive_message_length=1024",
        enable_grpc_healthcheck_service=True,
        enable_serialization_as_tensor_content=True,
        enable_signature_method_name_check=True,
    )
    with Server(given) as server:
        yield server


@pytest.fixture(scope="module")
def channel(limited):
    with grpc.insecure_channel(f"127.0.0.1:{limited.port}") as opened:
        yield opened


def test_a_unix_socket(limited, folder):
    with grpc.insecure_channel(f"unix:{folder}/socket") as opened:
        response = PredictionServiceStub(opened).Predict(
            ask(x=X), timeout=SECONDS
        )
    assert response.model_spec.version.value == 1


def test_tensors_as_bytes(channel):
    predict = PredictionServiceStub(channel).Predict
    y = predict(ask(x=X), timeout=SECONDS).outputs["y"]
    assert y.tensor_content == np.float32([2.5, 3.0]).tobytes()
    assert not y.float_val
    request = ask("shout", text=[b"a", b"bcd"])
    loud = predict(request, timeout=SECONDS).outputs["loud"]
    assert loud.tensor_content == b"\x01\x03ABCD"


def test_method_names_are_checked_when_asked_for(channel):
    predict = PredictionServiceStub(channel).Predict
    assert failure(predict, ask("__saved_model_init_op")) == (
        "INTERNAL",
        "Expected prediction signature method_name to be one of "
        "{tensorflow/serving/predict, tensorflow/serving/classify, "
        "tensorflow/serving/regress}. Was: ",
    )


def test_a_message_over_the_limit(channel):
    predict = PredictionServiceStub(channel).Predict
    code, _ = failure(predict, ask(x=np.zeros([1000, 1], np.float32)))
    assert code == "RESOURCE_EXHAUSTED"
    assert predict(ask(x=X), timeout=SECONDS).outputs


def test_one_request_too_many(limited, channel):
    predict = PredictionServiceStub(channel).Predict
    call = predict.future(
        ask("spin", count=np.int32([2**31 - 1])), timeout=SECONDS
    )
    (version,) = limited._repository.versions("half")
    while not version.users:
        threading.Event().wait(0.001)
    assert failure(predict, ask(x=X)) == (
        "RESOURCE_EXHAUSTED",
        "Server Threadpool Exhausted",
    )
    call.cancel()
    while version.users:
        threading.Event().wait(0.001)
    assert predict(ask(x=X), timeout=SECONDS).outputs


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_health(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    stub = health_pb2_grpc.HealthStub(channel)
    status = stub.Check(request, timeout=SECONDS).status
    assert status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_what_is_not_there(channel):
    request = health_pb2.HealthCheckRequest(service="Oracle")
    stub = health_pb2_grpc.HealthStub(channel)
    assert failure(stub.Check, request)[0] == "NOT_FOUND"


def test_no_health_service_unasked(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        stub = health_pb2_grpc.HealthStub(opened)
        code, _ = failure(stub.Check, health_pb2.HealthCheckRequest())
    assert code == "UNIMPLEMENTED"


def test_reflection(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    ask_for = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([ask_for]), timeout=SECONDS)
    names = {each.name for each in answer.list_services_response.service}
    assert names == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    }


def described(stub, name):
    """The names of the files that reflection gives for a service."""
    request = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol=name
    )
    (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=SECONDS)
    assert not answer.error_response.error_message
    return [
        descriptor_pb2.FileDescriptorProto.FromString(data)
        for data in answer.file_descriptor_response.file_descriptor_proto
    ]


def test_what_reflection_lists_it_describes(folder):
    given = flags(
        folder, enable_streaming=True, enable_grpc_healthcheck_service=True
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with (
        Server(given) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as opened,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(opened)
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=SECONDS)
        names = [s.name for s in answer.list_services_response.service]
        assert "tf_tokenrl.v1.Generation" in names
        for name in names:
            services = {
                f"{file.package}.{service.name}"
                for file in described(stub, name)
                for service in file.service
            }
            assert name in services
        files = described(stub, "tf_tokenrl.v1.Generation")
        (method,) = files[0].service[0].method
        assert method.server_streaming and not method.client_streaming
        fields = {f.name: f.number for f in files[0].message_type[2].field}
        assert fields["top_p"] == 6


def test_an_open_watch_does_not_hold_up_the_end(folder):
    server = Server(flags(folder, enable_grpc_healthcheck_service=True))
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        watch = health_pb2_grpc.HealthStub(opened).Watch(
            health_pb2.HealthCheckRequest()
        )
        asking = threading.Event()

        def requests():
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            asking.wait()

        reflected = reflection_pb2_grpc.ServerReflectionStub(
            opened
        ).ServerReflectionInfo(requests())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        next(reflected)
        stopped = threading.Thread(target=server.stop, args=[600])
        stopped.start()
        stopped.join(SECONDS)
        assert not stopped.is_alive()
        asking.set()


def test_a_socket_path_is_judged_before_the_models_are_loaded(tmp_path):
    (tmp_path / "file").write_text("")
    for path, sentence in (
        (tmp_path / "file", "is something else than a socket"),
        (tmp_path / ("a" * 108), "107 bytes at most"),
    ):
        with pytest.raises(TokenRLError, match=sentence):
            Listener(Flags(port=0, grpc_socket_path=str(path))).check()


def test_a_host_that_is_none_is_not_an_occupied_port():
    with pytest.raises(TokenRLError) as caught:
        Listener(Flags(port=0, host="no.such.host.invalid")).check()
    assert "Correct --host" in str(caught.value)
    with pytest.raises(TokenRLError, match="an address of this machine"):
        Listener(Flags(port=0, host="192.0.2.1")).check()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"grpc_socket_path": "/no/where"}, 'there is no directory "/no"'),
        ({"grpc_channel_arguments": "a"}, '"a" is not key=value'),
    ],
)
def test_what_cannot_be_listened_on(folder, more, sentence):
    with pytest.raises(TokenRLError, match=sentence):
        Server(flags(folder, **more)).start()
