"""What docs/security.md says of names, paths and logs."""

import urllib.parse

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceStub,
)

from tests.support import served
from tests.support.asking import SECONDS, X, ask, spec, with_version
from tests.support.rest_client import Client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.serving.rpc.encryption import credentials

SECRET = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49"
NAMES = [
    "../secret",
    "half/../../secret",
    "half/../half",
    "half/7",
    "./half",
    "%2e%2e/secret",
    "..\\secret",
    "..",
    "half\0",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that is served, one beside it, and one elsewhere."""
    top = tmp_path_factory.mktemp("top")
    served.put(top / "models" / "half", 7)
    served.put(top / "models" / "other", 1)
    served.put(top / "secret", 1)
    return top


@pytest.fixture(scope="module")
def server(folder):
    flags = Flags(
        model_base_path=str(folder / "models" / "half"),
        model_name="half",
        port=0,
        rest_api_port=-1,
    )
    with Server(flags) as running:
        yield running


@pytest.fixture(scope="module")
def stubs(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield PredictionServiceStub(channel), ModelServiceStub(channel)


@pytest.fixture
def http(server):
    client = Client(server.http_port)
    yield client
    client.close()


def refusal(call, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=SECONDS)
    return caught.value.code().name


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_no_path(stubs, folder, name):
    prediction, models = stubs
    for tried in (name, f"{folder}/models/{name}"):
        assert refusal(prediction.Predict, ask(name=tried, x=X)) == "NOT_FOUND"
        metadata = GetModelMetadataRequest(
            model_spec=spec(tried), metadata_field=["signature_def"]
        )
        assert refusal(prediction.GetModelMetadata, metadata) == "NOT_FOUND"
        status = GetModelStatusRequest(model_spec=spec(tried))
        assert refusal(models.GetModelStatus, status) == "NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/../secret",
        "/v1/models/../../secret/1",
        "/v1/models/..%2fsecret",
        "/v1/models/%2e%2e/secret/versions/1",
        "/v1/models/half/../secret",
        "/v1/models/half/versions/../../../secret/versions/1",
        "/../../etc/passwd",
        "//etc/passwd",
    ],
)
def test_an_http_path_is_none(http, path):
    code, text = http.ask("GET", path)
    assert code in (400, 404)
    code, text = http.ask("POST", f"{path}:predict", {"instances": [[1.0]]})
    assert code in (400, 404) and b"predictions" not in text


@pytest.mark.parametrize("text", ["../7", "7", "/", "../../secret/1"])
def test_a_label_and_a_signature_are_no_paths(stubs, http, text):
    prediction, _ = stubs
    by_label = with_version(ask(x=X), label=text)
    assert refusal(prediction.Predict, by_label) == "INVALID_ARGUMENT"
    path = f"half/labels/{urllib.parse.quote(text, safe='')}:predict"
    assert http.post(path, {"instances": [[1.0]]})[0] == 400
    by_signature = ask(text, x=X)
    assert refusal(prediction.Predict, by_signature) == "FAILED_PRECONDITION"
    by_output = ask(outputs=[text], x=X)
    assert refusal(prediction.Predict, by_output) == "INVALID_ARGUMENT"


def reloading(**paths):
    request = ReloadConfigRequest()
    for name, path in paths.items():
        request.config.model_config_list.config.add(
            name=name, base_path=str(path), model_platform="tensorflow"
        )
    return request


def test_a_reload_reaches_only_what_lies_beside(stubs, folder):
    prediction, models = stubs
    half = folder / "models" / "half"
    for place in (
        folder / "secret",
        f"{folder}/models/../secret",
        f"{folder}/models/../../{folder.name}/models/half",
        "/",
    ):
        request = reloading(half=half, secret=place)
        code = refusal(models.HandleReloadConfigRequest, request)
        assert code == "PERMISSION_DENIED"
    assert refusal(prediction.Predict, ask(name="secret", x=X)) == "NOT_FOUND"
    beside = reloading(half=half, other=folder / "models" / "other")
    models.HandleReloadConfigRequest(beside, timeout=SECONDS)
    prediction.Predict(ask(name="other", x=X), timeout=SECONDS)


def test_what_is_asked_is_not_logged(stubs, http, caplog):
    prediction, _ = stubs
    caplog.set_level(0)
    text = np.array([SECRET], object)
    prediction.Predict(ask("shout", text=text), timeout=SECONDS)
    refusal(prediction.Predict, ask("shout", nothing=text))
    refusal(prediction.Predict, ask(x=text))
    asked = {"signature_name": "shout", "instances": [SECRET]}
    assert http.post("half:predict", asked)[0] == 200
    assert http.post("half:predict", {"instances": [SECRET]})[0] == 400
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "config",
    [
        f'server_key: "{SECRET}',
        f"server_key: {SECRET}",
        f'server_key: "{SECRET}" server_cert: "x"',
        f'server_key: "-----BEGIN {SECRET}" server_cert: -----BEGIN',
        f'server_kye: "{SECRET}"',
        SECRET,
    ],
)
def test_a_key_is_not_in_an_error(config, tmp_path):
    file = tmp_path / "ssl.config"
    file.write_text(config)
    with pytest.raises(TokenRLError) as caught:
        credentials(Flags(ssl_config_file=str(file)))
    assert SECRET not in str(caught.value)
    assert str(file) in str(caught.value)
