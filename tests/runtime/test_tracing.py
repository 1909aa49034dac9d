"""Graphs are traced once for each structure, whatever the lengths."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny, toy
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.runtime.tracing import Graph, check_stages

XLA_CASES = Path(__file__).with_name("cases_xla.py")


def test_lengths_are_left_open():
    traces = []

    def total(x, weights):
        traces.append(x.shape)
        return x if weights is None else x * weights["w"]

    graph = Graph(total)
    for rows, columns in ((1, 1), (2, 5), (7, 3)):
        x = np.ones((rows, columns), np.float32)
        assert graph(x, None).shape == (rows, columns)
        assert graph(x, {"w": x}).shape == (rows, columns)
    assert len(traces) == 2
    assert graph(np.ones((2, 2), np.int32), None).dtype == "int32"
    assert len(traces) == 3


def test_a_trainer_traces_nothing_after_the_first_step():
    """Prompts, answers, parts of the vocabulary and rows of any number."""
    trainer = toy.trainer(
        "gru", "reinforce", policy={"stop_ids": tuple(range(3, 30))}
    )
    runs = {
        "sample": trainer.source.sampler._run,
        "update": trainer._update._run,
        "targets": trainer._targets,
    }
    shapes, before = set(), None
    for step, rows in enumerate((8, 2, 6)):
        batch, _ = trainer.collect(toy.EXAMPLES[:rows], step)
        trainer.learn(batch, step)
        rollout = batch.rollout
        shapes.add((*rollout.prompt_ids.shape, *rollout.mask.shape))
        traced = {n: dict(run._traced) for n, run in runs.items()}
        assert before is None or traced == before
        before = traced
    assert len({s[1] for s in shapes}) > 1 and len({s[3] for s in shapes}) > 1
    assert all(len(functions) == 1 for functions in before.values())


@pytest.mark.parametrize("stage", ["sampling", "rewards"])
def test_what_xla_cannot_compile_is_refused(stage):
    with pytest.raises(TokenRLError, match=f'"{stage}".*scoring and update'):
        check_stages([stage], tf.distribute.get_strategy())


def test_layers_computed_again_are_not_compiled():
    policy = tiny.policy("gpt2")
    policy.checkpoint_gradients()
    with pytest.raises(TokenRLError, match='leave gradient_checkpointing or "'):
        toy.trainer(policy=policy, jit=("update",))


def run_cases(*options):
    """In a process of its own: a server forbids XLA to the whole process."""
    command = [sys.executable, "-m", "pytest", "-x", *options, str(XLA_CASES)]
    done = subprocess.run(
        command, cwd=XLA_CASES.parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:]


def test_with_xla():
    run_cases("-m", "not slow")


@pytest.mark.slow
def test_a_trainer_with_xla():
    run_cases("-m", "slow")
