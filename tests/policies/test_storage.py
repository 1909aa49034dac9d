import errno
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import from_scratch, storage

PROMPTS = ["the name of a given file", "", "open"]


def assert_equal_policies(one, other):
    pairs = one.encode_pairs(PROMPTS, ["list", "a number", ""])
    again = other.encode_pairs(PROMPTS, ["list", "a number", ""])
    np.testing.assert_array_equal(pairs.actions, again.actions)
    for mine, theirs in zip(one.score(pairs), other.score(pairs), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_policy_comes_back_whole(policy, tmp_path):
    path = storage.save(policy, tmp_path / "new" / "policy.keras")
    assert os.listdir(path.parent) == ["policy.keras"]
    loaded = storage.load(path)
    assert type(loaded) is type(policy)
    assert loaded.stop_ids == policy.stop_ids
    assert len(loaded.trainable_variables) == len(policy.trainable_variables)
    assert_equal_policies(policy, loaded)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bart"])
def test_a_scratch_policy_comes_back_whole(name, tmp_path):
    options = from_scratch.ModelOptions(name, layers=1, width=16, heads=2)
    policy = from_scratch.build(
        options, tiny.tokenizer(), 12, 8, temperature=0.7
    )
    tiny.roughen(policy)
    loaded = storage.load(storage.save(policy, tmp_path / "policy.keras"))
    assert loaded.temperature == 0.7
    assert loaded.count_params() == policy.count_params()
    assert_equal_policies(policy, loaded)


def test_an_unknown_architecture_is_named():
    with pytest.raises(TokenRLError, match='architecture "lama".*"llama"'):
        from_scratch.build(
            from_scratch.ModelOptions("lama"), tiny.tokenizer(), 12, 8
        )


def truncated(path):
    storage.save(tiny.shared_policy("gru"), path)
    path.write_bytes(path.read_bytes()[:-200])


def corrupt(path):
    storage.save(tiny.shared_policy("gru"), path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = bytes(500)
    path.write_bytes(content)


def other_model(path):
    inputs = keras.Input([2])
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(path)


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda path: None, "There is no policy"),
        (lambda path: path.mkdir(), "There is no policy"),
        (lambda path: path.touch(), "cannot be read as a policy"),
        (lambda path: path.write_text("{}"), "cannot be read as a policy"),
        (truncated, "cannot be read as a policy"),
        (corrupt, "cannot be read as a policy"),
        (other_model, "holds a Functional, not a policy"),
    ],
)
def test_what_is_no_policy_is_refused(write, message, tmp_path):
    path = tmp_path / "policy.keras"
    write(path)
    with pytest.raises(TokenRLError, match=message) as raised:
        storage.load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    policy = tiny.shared_policy("gru")
    path = storage.save(policy, tmp_path / "policy.keras")
    before = path.read_bytes()

    def fail(written):
        written.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(policy, "save", fail)
    with pytest.raises(TokenRLError, match="No space left on device"):
        storage.save(policy, path)
    assert os.listdir(tmp_path) == ["policy.keras"]
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TokenRLError, match="Cannot write"):
        storage.save(tiny.shared_policy("gru"), tmp_path / "file" / "p.keras")


def test_a_process_that_loads_need_not_know_the_kind(tmp_path):
    """Nothing but `storage` is imported there."""
    path = storage.save(tiny.shared_policy("gru"), tmp_path / "policy.keras")
    code = (
        f"from tf_tokenrl.policies import storage; storage.load({str(path)!r})"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
