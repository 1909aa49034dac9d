import os
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tests.support import reloading, served
from tests.support.asking import X, ask, failure, with_version
from tf_tokenrl.serving.models.directories import find_versions


def find(base, policy="", *names):
    for name in names:
        (base / name).mkdir()
    config = ModelConfig(name="m", base_path=str(base))
    text_format.Parse(policy, config.model_version_policy)
    warnings = []
    paths = find_versions(config, warnings.append)
    names = {n: path.removeprefix(f"{base}/") for n, path in paths.items()}
    return names, warnings


def test_only_whole_numbers_of_64_bits_are_versions(tmp_path):
    names = ["1", "007", "1e3", "v2", "1.5", "1_0", str(2**63), "-3"]
    found, warnings = find(tmp_path, "all {}", *names)
    assert found == {-3: "-3", 1: "1", 7: "007"}
    assert not warnings


def test_the_latest_version_is_the_default(tmp_path):
    found, _ = find(tmp_path, "", "2", "10", "9")
    assert found == {10: "10"}


def test_the_latest_two(tmp_path):
    found, _ = find(tmp_path, "latest { num_versions: 2 }", "2", "10", "9")
    assert found == {9: "9", 10: "10"}


def test_specific_versions_and_a_warning_for_the_missing(tmp_path):
    policy = "specific { versions: 2 versions: 3 }"
    found, warnings = find(tmp_path, policy, "1", "2")
    assert found == {2: "2"}
    assert len(warnings) == 1
    assert "Version 3 of servable m" in warnings[0]


def test_the_last_of_two_names_for_one_version_wins(tmp_path):
    found, warnings = find(tmp_path, "", "01", "1")
    assert found == {1: "1"}
    assert warnings == [
        "Duplicate version directories detected. Version 1 will be loaded "
        "from 1, 01 will be ignored."
    ]


def test_no_versions(tmp_path):
    found, warnings = find(tmp_path, "", "model")
    assert found == {}
    assert warnings == [
        f"No versions of servable m found under base path {tmp_path}. Did "
        "you forget to name your leaf directory as a number (eg. '/1/')?"
    ]


def test_names_that_are_no_text(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).mkdir()
    with pytest.raises(OSError, match="can't decode"):
        find(tmp_path)


def test_no_base_path(tmp_path):
    with pytest.raises(OSError, match="Could not find base path"):
        find(tmp_path / "nowhere")


# On the wire.


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Versions 7, 9 and 10, and folders that are none."""
    folder = tmp_path_factory.mktemp("stored")
    for name in ("9", "10", "007", "v11", "1e3"):
        served.put(folder / "m", name)
    with reloading.running(folder) as made:
        yield made


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", [10]),
        ("latest { num_versions: 2 }", [9, 10]),
        ("all {}", [7, 9, 10]),
        ("specific { versions: 9 versions: 7 versions: 11 }", [7, 9]),
    ],
)
def test_versions_that_the_policy_names_are_served(running, policy, expected):
    name = f"m{len(expected)}{expected[0]}"
    text = reloading.listing(running.folder, name).replace(
        f'{name}" model', f'm" model_version_policy {{ {policy} }} model'
    )
    running.reload(text)
    assert running.settled(name, dict.fromkeys(expected, "AVAILABLE"))
    assert running.answers(name) == expected[-1]
    for version in (7, 9, 10, 11, 1000):
        if version in expected:
            assert running.answers(name, version=version) == version
            continue
        request = with_version(ask(name=name, x=X), version)
        assert failure(running.predict, request) == (
            "NOT_FOUND",
            f"Servable not found for request: Specific({name}, {version})",
        )


def test_a_path_without_versions_is_told_of_and_looked_at_again(
    running, caplog
):
    """What is wrong with it is said in the server's log."""
    (running.folder / "empty").mkdir()
    for name in ("nowhere", "empty"):
        text = reloading.listing(running.folder, name)
        assert running.refusal(text)[0] == "UNKNOWN"
        assert failure(running.predict, ask(name=name, x=X)) == (
            "NOT_FOUND",
            f"Servable not found for request: Latest({name})",
        )
    assert (
        "FileSystemStoragePathSource encountered a filesystem access error: "
        f"Could not find base path {running.folder}/nowhere for servable "
        "nowhere with error NOT_FOUND"
    ) in caplog.text
    assert "No versions of servable empty found" in caplog.text
