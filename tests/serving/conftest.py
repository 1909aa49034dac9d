import grpc
import pytest
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from tests.support import served
from tests.support.rest_client import Client
from tf_tokenrl.serving import Flags, Server

_CONFIG = """
model_config_list {{
  config {{
    name: "half" base_path: "{0}/half" model_platform: "tensorflow"
    version_labels {{ key: "steady" value: 7 }}
  }}
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
    monitoring = folder / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true path: '/counts' }")
    flags = Flags(
        model_config_file=str(config),
        monitoring_config_file=str(monitoring),
        allow_version_labels_for_unavailable_models=True,
        port=0,
        rest_api_port=-1,
        rest_api_timeout_in_ms=1000,
    )
    with Server(flags) as running:
        yield running


@pytest.fixture
def client(server):
    """What speaks REST to that server."""
    opened = Client(server.http_port)
    yield opened
    opened.close()


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
