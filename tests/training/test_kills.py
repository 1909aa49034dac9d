"""Killed at random moments and resumed, a run ends as if never killed."""

import csv
import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.support import killed
from tf_tokenrl import algorithms, catalog, files
from tf_tokenrl.policies import storage

CLOCK = ("seconds", "tokens_per_second")
KILLS = 2


@pytest.fixture(scope="module")
def live():
    """One life of a run, in a process of its own; returns how it ended."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        [sys.executable, "-m", killed.__name__],
        env=os.environ | quiet | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nursery:

        def live(*words):
            print(*words, file=nursery.stdin, flush=True)
            return int(nursery.stdout.readline())

        yield live
        nursery.stdin.close()


def outcome(folder, steps=killed.STEPS):
    """All tensors of the last checkpoint, its state, and the log."""
    path = folder / "checkpoints" / f"step-{steps:08d}"
    tensors = str(path / "tensors")
    found = {
        name: tf.train.load_variable(tensors, name)
        for name, _ in tf.train.list_variables(tensors)
        if "OBJECT_GRAPH" not in name
    }
    with open(folder / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [{k: v for k, v in r.items() if k not in CLOCK} for r in rows]
    state = json.loads((path / "state.json").read_text())
    return found, state, rows


def same(first, second):
    (one, *others), (two, *rest) = first, second
    assert others == rest
    assert set(one) == set(two) and len(one) > 20
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], name)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", catalog.names(algorithms))
def test_killed_at_random_moments(algorithm, tmp_path, live):
    """Five stages of a step, steps 2 to 19, drawn anew for each algorithm."""
    draw = random.Random(algorithm)
    steps = sorted(draw.sample(range(2, killed.STEPS), KILLS))
    stages = draw.sample(killed.STAGES, KILLS)
    for step, stage in zip(steps, stages, strict=True):
        assert live(tmp_path / "killed", algorithm, step, stage) == -9, stage
    assert live(tmp_path / "killed", algorithm) == 0
    assert live(tmp_path / "straight", algorithm) == 0
    same(outcome(tmp_path / "killed"), outcome(tmp_path / "straight"))


@pytest.mark.slow
def test_a_supervised_run_killed_at_random_moments(tmp_path, live):
    draw = random.Random("likelihood")
    steps = sorted(draw.sample(range(2, killed.STEPS), KILLS))
    stages = killed.STAGES[1:]
    stages = draw.choices(stages, k=KILLS)
    for step, stage in zip(steps, stages, strict=True):
        found = live(tmp_path / "killed", killed.SUPERVISED, step, stage)
        assert found == -9, stage
    assert live(tmp_path / "killed", killed.SUPERVISED) == 0
    assert live(tmp_path / "straight", killed.SUPERVISED) == 0
    last = 3 * killed.EPOCHS
    same(
        outcome(tmp_path / "killed", last), outcome(tmp_path / "straight", last)
    )
    one, two = (tmp_path / n / "policy.keras" for n in ("killed", "straight"))
    one, two = (storage.load(path).get_weights() for path in (one, two))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("stage", killed.STAGES)
def test_killed_at_each_stage(stage, tmp_path, live, straight):
    assert live(tmp_path, "reinforce", 2, stage) == -9
    left = [p.name for p in (tmp_path / "checkpoints").iterdir()]
    unfinished = [x for x in left if x.startswith(files.UNFINISHED)]
    assert len(unfinished) == (stage in ("write", "rename"))
    assert live(tmp_path, "reinforce") == 0
    same(outcome(tmp_path), straight)


@pytest.fixture(scope="module")
def straight(tmp_path_factory, live):
    folder = tmp_path_factory.mktemp("straight")
    assert live(folder, "reinforce") == 0
    return outcome(folder)
