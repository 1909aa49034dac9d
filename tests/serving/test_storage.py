import os
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.serving.storage import find_versions


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
