import grpc
import pytest
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.serving.models.allowed_paths import Places
from tf_tokenrl.serving.status import StatusError


def models(*paths):
    return [ModelConfig(name="m", base_path=path) for path in paths]


def allows(places, path):
    try:
        places.check(models(path))
    except StatusError as error:
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert path in error.text
        return False
    return True


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/models/headline", True),
        ("/models/headline/", True),
        ("/models/other", True),
        ("//models//other/deep", True),
        ("/models", True),
        ("/modelsecret", False),
        ("/etc", False),
        ("/", False),
        ("/models/../etc", False),
        ("/models/other/..", False),
        ("/models/./other", True),
        ("gs://models/headline", False),
    ],
)
def test_beside_the_first_models(path, allowed):
    assert allows(Places("", models("/models/headline")), path) is allowed


def test_a_model_in_the_root_opens_nothing_else():
    places = Places("", models("/headline"))
    assert allows(places, "/headline")
    assert not allows(places, "/other")


def test_a_store_has_places_too():
    places = Places("", models("gs://bucket/models/headline"))
    assert allows(places, "gs://bucket/models/other")
    assert not allows(places, "gs://bucket/secret")
    assert not allows(places, "/bucket/models/other")


def test_places_that_are_named():
    places = Places("/a,/b/c/", models("/models/headline"))
    assert allows(places, "/a/x") and allows(places, "/b/c/x")
    assert not allows(places, "/b/x")
    assert not allows(places, "/models/headline")
    assert allows(Places("*", []), "/etc")
    assert allows(Places("/", []), "/etc")
