import grpc
import pytest
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.serving.models.allowed_paths import AllowedPaths
from tf_tokenrl.serving.status import StatusError


def models(*paths):
    return [ModelConfig(name="m", base_path=path) for path in paths]


def allows(paths, path):
    try:
        paths.check(models(path))
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
    assert allows(AllowedPaths("", models("/models/headline")), path) is allowed


def test_a_model_in_the_root_opens_nothing_else():
    paths = AllowedPaths("", models("/headline"))
    assert allows(paths, "/headline")
    assert not allows(paths, "/other")


def test_a_store_has_places_too():
    paths = AllowedPaths("", models("gs://bucket/models/headline"))
    assert allows(paths, "gs://bucket/models/other")
    assert not allows(paths, "gs://bucket/secret")
    assert not allows(paths, "/bucket/models/other")


def test_places_that_are_named():
    paths = AllowedPaths("/a,/b/c/", models("/models/headline"))
    assert allows(paths, "/a/x") and allows(paths, "/b/c/x")
    assert not allows(paths, "/b/x")
    assert not allows(paths, "/models/headline")
    assert allows(AllowedPaths("*", []), "/etc")
    assert allows(AllowedPaths("/", []), "/etc")
