"""A run that stopped goes on as if it never had, bit for bit."""

import csv
import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.support import disk, tiny, toy
from tf_tokenrl import algorithms
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import storage

CLOCK = ("seconds", "tokens_per_second")


def go_on(folder, steps):
    """A fresh process takes up the run in `folder`."""
    code = (
        f"from tests.support import toy; toy.resume({str(folder)!r}, {steps})"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )


def state(folder, step) -> dict:
    """All tensors of a checkpoint, and what callbacks remember."""
    path = folder / "checkpoints" / f"step-{step:08d}"
    tensors = str(path / "tensors")
    found = {
        name: tf.train.load_variable(tensors, name)
        for name, _ in tf.train.list_variables(tensors)
        if "OBJECT_GRAPH" not in name
    }
    assert len(found) > 50
    return found | {"state": json.loads((path / "state.json").read_text())}


def assert_same_run(first, second, step):
    one, two = state(first, step), state(second, step)
    assert one.pop("state") == two.pop("state")
    assert set(one) == set(two)
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], name)
    assert rows(first, step) == rows(second, step)


def rows(folder, steps) -> list[dict]:
    with open(folder / "log.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [int(row["step"]) for row in found] == list(range(1, steps + 1))
    return [{k: v for k, v in r.items() if k not in CLOCK} for r in found]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Ten steps without a stop, and who took them."""
    folder = tmp_path_factory.mktemp("straight")
    trainer, checkpoint, callbacks = toy.checkpointed(folder)
    trainer.fit(toy.EXAMPLES, 10, 8, callbacks=callbacks)
    return folder, trainer, checkpoint


@pytest.fixture
def copy(run, tmp_path):
    """The run's folder to spoil, and its trainer's `Checkpoint` on it."""
    folder, trainer, checkpoint = run
    shutil.copytree(folder / "checkpoints", tmp_path / "checkpoints")
    shutil.copy(folder / "log.csv", tmp_path)
    return Checkpoint(
        trainer, tmp_path / "checkpoints", remembered=checkpoint.remembered
    )


def test_five_steps_a_stop_and_five_steps_are_ten(run, copy, tmp_path):
    shutil.rmtree(tmp_path / "checkpoints" / "step-00000010")
    with go_on(tmp_path, 10) as process:
        assert process.stdout.read().split() == ["6", "7", "8", "9", "10"]
    assert process.returncode == 0
    assert_same_run(run[0], tmp_path, 10)
    remembered = state(tmp_path, 10)["state"]["callbacks"][0]
    assert len(remembered["recent"]) == 3 and remembered["best"] is not None


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_never_killed(run, tmp_path):
    with go_on(tmp_path, 20) as process:
        for line in process.stdout:
            if line.strip() == "8":
                process.kill()
    assert process.returncode < 0
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000000", "step-00000005"]
    with go_on(tmp_path, 10) as process:
        assert process.stdout.read().split()[0] == "6"
    assert_same_run(run[0], tmp_path, 10)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, empty, flip, os.remove])
@pytest.mark.parametrize("file", ["tensors.data*", "tensors.index"])
def test_a_damaged_checkpoint_is_passed_over(copy, capsys, damage, file):
    newest = copy.folder / "step-00000010"
    damage(next(newest.glob(file)))
    assert copy.restore() == 5
    assert copy.trainer.finished_steps == 5
    message = capsys.readouterr().err
    assert str(newest) in message and "passed over" in message
    assert message.count("\n") == 1
    saved = state(copy.folder.parent, 5)
    weights = [saved[f"weights/{i}/.ATTRIBUTES/VARIABLE_VALUE"] for i in (0, 1)]
    for value, weight in zip(
        weights, copy.trainer.policy.weights, strict=False
    ):
        np.testing.assert_array_equal(value, weight.numpy())


def test_a_torn_state_file_is_damage_too(copy):
    (copy.folder / "step-00000010" / "state.json").write_text('{"finished_st')
    assert copy.restore() == 5


def test_all_damaged(copy):
    cut(next((copy.folder / "step-00000010").glob("tensors.data*")))
    (copy.folder / "step-00000005" / "state.json").unlink()
    with pytest.raises(TokenRLError, match="in place of --resume") as caught:
        copy.restore()
    assert str(copy.folder) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1),
        ("algorithm", algorithms.get("ppo", epochs=3)),
        ("reward", toy.Count(worth=2.0)),
    ],
)
def test_a_run_with_other_options_is_refused(copy, monkeypatch, name, value):
    before, word = copy.trainer.policy.get_weights(), name
    trainer, holder = copy.trainer, copy.trainer
    if name == "seed":
        name, value = "options", dataclasses.replace(trainer.options, seed=1)
    elif name == "reward":
        holder = trainer.scorer
    monkeypatch.setattr(holder, name, value)
    with pytest.raises(TokenRLError, match="other options") as caught:
        copy.restore()
    assert word in str(caught.value)
    after = copy.trainer.policy.get_weights()
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_reference_is_refused(copy):
    other = tiny.policy("gpt2", seed=1).frozen_copy()
    _, checkpoint, _ = toy.checkpointed(copy.folder.parent, reference=other)
    with pytest.raises(TokenRLError, match="other options.*reference was"):
        checkpoint.restore()


@pytest.mark.parametrize(
    ("examples", "batch_size", "what"),
    [(toy.EXAMPLES[1:], 8, "data was"), (toy.EXAMPLES, 4, "batch_size was 8")],
)
def test_other_data_and_another_batch_size_are_refused(
    copy, monkeypatch, examples, batch_size, what
):
    monkeypatch.setattr(copy.trainer, "fitted", copy.trainer.fitted)
    assert copy.restore() == 10
    with pytest.raises(TokenRLError, match=what):
        copy.trainer.fit(examples, 12, batch_size, callbacks=[copy])


def test_a_checkpoint_is_a_policy(run, copy):
    found = storage.load(copy.folder / "step-00000010")
    assert not vars(found).get("optimizer")
    asked = [example.prompt for example in toy.EXAMPLES]
    rollout = tiny.sample(run[1].policy, asked)
    np.testing.assert_array_equal(
        found.score(rollout).log_probs, run[1].policy.score(rollout).log_probs
    )
    assert found.decode(rollout) == run[1].policy.decode(rollout)


def test_another_policy_is_refused_and_not_called_damage(copy, capsys):
    other = toy.trainer("gru", options={"epochs": 2})
    checkpoint = Checkpoint(other, copy.folder, remembered=copy.remembered)
    with pytest.raises(TokenRLError, match="other options.*parameters"):
        checkpoint.restore()
    assert not capsys.readouterr().err


def test_a_callback_that_was_not_there_is_refused(copy):
    copy.remembered = []
    with pytest.raises(TokenRLError, match="EarlyStopping"):
        copy.restore()


def test_nothing_to_resume_from(run, tmp_path):
    assert Checkpoint(run[1], tmp_path / "nowhere").restore() == 0


@pytest.mark.skipif(disk.resource is None, reason="needs file size limits")
def test_a_full_disk_leaves_the_last_good_checkpoint(copy):
    assert copy.restore() == 10
    copy.trainer.finished_steps = 11
    before = sorted(copy.folder.rglob("*"))
    with disk.full(), pytest.raises(TokenRLError, match="--resume") as caught:
        copy.save()
    assert "step-00000011" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(copy.folder.rglob("*")) == before
    assert copy.restore() == 10
    assert copy.save().is_dir()


def test_only_the_newest_are_kept_and_leftovers_go(copy):
    copy.restore()
    (copy.folder / ".unfinished-x").mkdir()
    copy.on_train_begin()
    copy.trainer.finished_steps = 12
    copy.on_train_end()
    names = sorted(p.name for p in copy.folder.iterdir())
    assert names == ["step-00000010", "step-00000012"]


def test_a_fresh_run_replaces_another_only_when_told_to(run, copy):
    _, trainer, _ = run
    trainer.finished_steps = 0
    fresh = Checkpoint(trainer, copy.folder)
    before = sorted(copy.folder.rglob("*"))
    with pytest.raises(TokenRLError, match="--resume.*--overwrite"):
        fresh.on_train_begin()
    assert sorted(copy.folder.rglob("*")) == before
    fresh.overwrite = True
    fresh.on_train_begin()
    assert [p.name for p in copy.folder.iterdir()] == ["step-00000000"]


def test_a_step_saved_again_never_harms_what_was_saved(copy):
    assert copy.restore() == 10
    assert copy.save().name == "step-00000010-0001"
    assert copy.save().name == "step-00000010-0002"
    cut(next(copy.folder.glob("step-00000010-0002/tensors.data*")))
    assert copy.restore() == 10
    assert len(list(copy.folder.iterdir())) == copy.keep


def test_rolling_back_takes_an_older_one_and_removes_the_newer(copy):
    trainer = copy.trainer
    assert copy.roll_back(9, 0.5) == 5
    assert [p.name for p in copy.folder.iterdir()] == ["step-00000005"]
    assert trainer.finished_steps == 5
    assert trainer.learning_rate.factor == 0.5
    assert copy.roll_back(3, 0.5) == 5
    trainer.learning_rate.restore({"learning_rate_factor": 1.0})
