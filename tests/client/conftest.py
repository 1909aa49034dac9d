import pytest

from tests import served
from tf_tokenrl.client import Client
from tf_tokenrl.serving import Flags, Server

CONFIG = """
model_config_list {{
  config {{
    name: "headline" base_path: "{base}/echo" model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "stable" value: 1 }}
  }}
  config {{
    name: "half" base_path: "{base}/half" model_platform: "tensorflow"
  }}
}}
"""


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    served.put(base / "echo", 1, "echo")
    served.put(base / "echo", 2, "echo")
    served.put(base / "half", 7)
    config = base / "models.config"
    config.write_text(CONFIG.format(base=base))
    with Server(Flags(model_config_file=str(config), port=0)) as server:
        yield f"localhost:{server.port}"


@pytest.fixture
def client(address):
    with Client(address, timeout=20) as opened:
        yield opened


@pytest.fixture
def half(address):
    with Client(address, model="half", timeout=20) as opened:
        yield opened
