import grpc
import pytest
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from tests import served
from tf_tokenrl.serving import Flags, Server

_CONFIG = """
model_config_list {{
  config {{ name: "half" base_path: "{0}/half" model_platform: "tensorflow" }}
  config {{ name: "judge" base_path: "{0}/judge" model_platform: "tensorflow" }}
}}
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    served.put(folder / "half", 7)
    served.put(folder / "judge", 1, "judge")
    config = folder / "models.config"
    config.write_text(_CONFIG.format(folder))
    with Server(Flags(model_config_file=str(config), port=0)) as running:
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
