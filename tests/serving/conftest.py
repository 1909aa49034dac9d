import grpc
import pytest
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from tests import served
from tf_tokenrl.serving import Flags, Server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("models") / "half", 7)
    flags = Flags(model_base_path=str(base), model_name="half", port=0)
    with Server(flags) as running:
        yield running


@pytest.fixture(scope="session")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened


@pytest.fixture(scope="session")
def prediction(channel):
    """The stub that ships with the real server's API."""
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)
