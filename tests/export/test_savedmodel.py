import errno
import os

import pytest
import tensorflow as tf

from tests.support import exports, tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.export.savedmodel import next_version
from tf_tokenrl.policies import from_scratch


@pytest.fixture(scope="module")
def policy():
    options = from_scratch.ModelOptions("llama", layers=2, width=128, heads=4)
    return from_scratch.build(options, tiny.tokenizer(), 12, 8)


@pytest.fixture(scope="module")
def exported(policy, tmp_path_factory):
    path = tmp_path_factory.mktemp("savedmodels") / "llama" / "1"
    policy.export(path)
    return path


def test_weights_take_no_more_disk_than_they_must(policy, exported):
    size = sum(file.stat().st_size for file in exported.glob("variables/*"))
    needed = 4 * policy.count_params()
    assert needed > 1e6
    assert needed < size < 1.05 * needed
    _, graph = exports.nodes(exported)
    constants = [node.attr["value"].tensor for node in graph]
    assert sum(len(c.tensor_content) for c in constants) < 0.05 * needed


def test_the_policy_still_works_after_an_export(policy, exported):
    assert policy.encode(["the name"])[1].any()


@pytest.mark.parametrize("version", ["latest", "1.0", "-1", "v1"])
def test_the_version_must_be_a_number(policy, tmp_path, version):
    with pytest.raises(TokenRLError, match="version number"):
        policy.export(tmp_path / "model" / version)
    assert not os.listdir(tmp_path)


def test_a_version_is_never_overwritten(policy, exported):
    before = sorted(exported.parent.rglob("*"))
    with pytest.raises(TokenRLError, match="exists"):
        policy.export(exported)
    assert sorted(exported.parent.rglob("*")) == before


def test_keras_export_options_are_refused(policy, tmp_path):
    with pytest.raises(TokenRLError, match="without options"):
        policy.export(tmp_path / "1", format="onnx")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
    ],
)
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, error):
    def fail(module, folder, **kwargs):
        with open(os.path.join(folder, "saved_model.pb"), "w") as file:
            file.write("half")
        raise error

    policy = tiny.shared_policy("gru")
    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(TokenRLError, match="No space left on device"):
        policy.export(tmp_path / "model" / "1")
    assert not os.listdir(tmp_path / "model")


def test_the_next_version_follows_the_highest(tmp_path):
    assert next_version(tmp_path / "none").name == "1"
    for name in ("3", "10", "latest", ".unfinished-x"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path).name == "11"
