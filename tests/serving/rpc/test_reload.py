"""HandleReloadConfigRequest, on the wire and without waiting."""

import os

import pytest
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.support import reloading, served
from tests.support.asking import (
    SECONDS,
    X,
    ask,
    failure,
    spec,
    with_version,
)
from tests.support.reloading import listing
from tests.support.rest_client import Client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.serving.rpc.reload import ConfigFile

INVALID = "INVALID_ARGUMENT"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """It starts without any model."""
    folder = tmp_path_factory.mktemp("reload")
    for name in ("one", "two"):
        for version in (1, 2):
            served.put(folder / name, version)
    (folder / "broken" / "4").mkdir(parents=True)
    threads = dict(num_load_threads=2, num_unload_threads=1)
    with reloading.running(folder, rest_api_port=-1, **threads) as made:
        request = ask(name="one", x=X)
        request.model_spec.version_label = "stable"
        # Only before the first configuration is there no map of labels.
        assert failure(made.predict, request) == (
            "UNAVAILABLE",
            "Model labels does not init yet.stable",
        )
        client = Client(made.server.http_port)
        assert client.post("one/labels/stable:predict", "{}") == (
            503,
            {"error": "Model labels does not init yet.stable"},
        )
        client.close()
        yield made


@pytest.fixture
def one(running):
    """Whatever went before, one model is served now."""
    running.reload(listing(running.folder, "one"))
    return running


def test_models_come_and_go(one):
    assert one.answers("one") == 2
    response = one.reload(listing(one.folder, "two"))
    assert response.HasField("status") and response.status.error_code == 0
    assert one.answers("two") == 2
    assert failure(one.predict, ask(name="one", x=X)) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(one)",
    )
    assert one.states("one")[2] in ("UNLOADING", "END")
    one.reload(listing(one.folder, "one", "two"))
    assert one.answers("one") == 2


def test_a_policy_and_a_label_for_an_older_version(one):
    both = listing(one.folder, "one").replace(
        "model_platform",
        "model_version_policy { specific { versions: 1 versions: 2 } } "
        "model_platform",
    )
    one.reload(both)
    assert one.settled("one", {1: "AVAILABLE", 2: "AVAILABLE"})
    one.reload(
        both.replace(
            "model_platform",
            'version_labels { key: "stable" value: 1 } model_platform',
        )
    )
    assert one.answers("one", label="stable") == 1
    assert one.answers("one") == 2
    assert one.refusal(
        both.replace(
            "model_platform",
            'version_labels { key: "stable" value: 3 } model_platform',
        )
    ) == (
        "FAILED_PRECONDITION",
        "Request to assign label to version 3 of model one, which is not "
        "currently available for inference",
    )
    assert one.answers("one", label="stable") == 1
    canary = both.replace(
        "model_platform",
        'version_labels { key: "canary" value: 2 } model_platform',
    )
    other = 'config { name: "two" base_path: "/m" model_platform: "caffe" }'
    text = canary.replace("config {", f"{other} config {{", 1)
    assert one.refusal(text)[1].endswith("unsupported platform caffe")
    request = with_version(ask(name="one", x=X), label="canary")
    assert failure(one.predict, request) == (
        INVALID,
        "Unrecognized servable version label: canary",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "ServerModelConfig type not supported by "
            "HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported",
        ),
        (
            "custom_model_config {}",
            "ServerModelConfig type not supported by "
            "HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported",
        ),
        (
            listing("/m", "two", "two"),
            "Illegal to list model two multiple times in config list",
        ),
        (
            listing("m", "two"),
            "Expected model two to have an absolute path or URI; got "
            "base_path()=m/two",
        ),
        (
            listing("/m", "two").replace("tensorflow", ""),
            "Illegal setting neither ModelServerConfig::model_type "
            "(deprecated) nor ModelServerConfig::model_platform, model name "
            "is two",
        ),
        (
            listing("/m", "two").replace("tensorflow", "caffe"),
            "Model two requests unsupported platform caffe",
        ),
        (
            listing("/m", "two").replace(
                "model_p", "logging_config {} model_p"
            ),
            "No request-logger-creator provided.",
        ),
        (
            listing("/m", "one").replace("tensorflow", "caffe"),
            "Illegal to change a model's platform. For model one platform was "
            "tensorflow and new platform requested is caffe",
        ),
    ],
)
def test_a_configuration_that_is_refused_changes_nothing(one, text, message):
    assert one.refusal(text) == (INVALID, message)
    assert one.answers("one") == 2
    one.reload(listing(one.folder, "one", "two"))
    assert one.answers("two") == 2


def test_a_new_model_that_cannot_be_loaded(one):
    code, text = one.refusal(listing(one.folder, "one", "broken"))
    assert code == "UNKNOWN"
    assert text.startswith(
        "1 model(s) did not become available: {{{name: broken version: 4} "
        "due to error: NOT_FOUND: Could not find SavedModel .pb or .pbtxt at "
        f"supplied export directory path: {one.folder}/broken/4. "
    )
    assert text.endswith("}, }")
    assert one.answers("one") == 2
    assert one.states("broken") == {4: "END"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "No versions of servable empty found under base path "),
        ("missing", "Could not find base path "),
    ],
)
def test_nobody_waits_for_what_is_not_there(one, name, reason):
    (one.folder / "empty").mkdir(exist_ok=True)
    code, text = one.refusal(listing(one.folder, "one", name))
    assert code == "UNKNOWN"
    assert f"{{{{{{name: {name}}} due to error: NOT_FOUND: {reason}" in text
    assert one.answers("one") == 2
    later = f"beside_{name}"
    served.put(one.folder / later, 1)
    one.reload(listing(one.folder, "one", later))
    assert one.answers(later) == 1
    one.reload(listing(one.folder, "one"))


def test_a_new_path_is_loaded_even_under_the_same_version_number(one):
    elsewhere = one.folder / "elsewhere"
    served.put(elsewhere, 2)
    text = listing(one.folder, "one")
    moved = text.replace(f"{one.folder}/one", str(elsewhere))
    old, new = str(one.folder / "one" / "2"), str(elsewhere / "2")
    for config, path in ((moved, new), (text, old), (moved, new), (text, old)):
        one.reload(config)
        with one.server._repository.acquire(spec("one")) as version:
            assert version.path == path
        assert one.states("one")[2] == "AVAILABLE"
    code, text = one.refusal(moved.replace("elsewhere", "nowhere"))
    assert code == "UNKNOWN" and "Could not find base path" in text
    assert one.answers("one") == 2
    one.reload(listing(one.folder, "one"))


def test_a_wrong_path_in_the_file_stops_nothing_else(one, caplog):
    path = one.folder / "mistyped.config"
    watched = ConfigFile(str(path), 1, one.server._repository)
    path.write_text(listing(one.folder, "one", "twwo"))
    watched.look()
    assert "Could not find base path" in caplog.text
    path.write_text(listing(one.folder, "one", "two"))
    watched.look()
    assert one.settled("two", {2: "AVAILABLE"})
    path.write_text(listing(one.folder, "one"))
    watched.look()
    assert one.settled("two", {2: "END"})


def test_the_file_is_read_again(one, caplog):
    path = one.folder / "watched.config"
    watched = ConfigFile(str(path), 1, one.server._repository)
    path.write_text(listing(one.folder, "two"))
    watched.look()
    assert one.settled("two", {2: "AVAILABLE"})
    assert one.answers("two") == 2
    path.write_text(listing("relative", "two"))
    watched.look()
    assert "failed to ReloadConfig: Expected model two" in caplog.text
    path.write_text("nonsense")
    watched.look()
    os.remove(path)
    watched.look()
    assert caplog.text.count("Failed to read ModelServerConfig file") == 2
    assert one.answers("two") == 2


def test_the_file_is_watched_when_a_flag_says_so(tmp_path):
    for name in ("one", "two"):
        served.put(tmp_path / name, 1)
    path = tmp_path / "models.config"
    path.write_text(listing(tmp_path, "one"))
    flags = Flags(
        port=0,
        model_config_file=str(path),
        model_config_file_poll_wait_seconds=0.05,
    )
    with Server(flags) as server:
        new = tmp_path / "new"
        new.write_text(listing(tmp_path, "one", "two"))
        os.replace(new, path)
        repository = server._repository
        with repository._changed:
            assert repository._changed.wait_for(
                lambda: (
                    "two" in repository._models
                    and repository._models["two"].available
                ),
                SECONDS,
            )


def test_a_custom_configuration_at_the_start(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("custom_model_config {}")
    with pytest.raises(TokenRLError, match="does not yet support custom"):
        Server(Flags(port=0, model_config_file=str(path)))


def test_one_list_is_followed_by_another(one):
    with pytest.raises(Exception, match="only legal to transition from one"):
        one.server._repository.reload(ModelServerConfig())
