"""Graphs are traced once for each structure, whatever the lengths."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import toy
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.runtime.tracing import Graph, check_stages, compiling


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
    graphs = {
        name: getattr(trainer, name)
        for name in ("_collect", "_update", "_targets")
    }
    runs = {n: getattr(g, "_run", g) for n, g in graphs.items()}
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


def test_a_compiled_graph_gives_the_same_numbers():
    graph, compiled = (Graph(lambda x: tf.nn.softmax(x)) for _ in range(2))
    compiled.jit = True
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    np.testing.assert_allclose(graph(x), compiled(x), atol=1e-6)
    (traced,) = compiled._traced.values()
    assert traced.function_def.attr["_XlaMustCompile"].b


def one_step(stages):
    """What a fresh trainer samples, judges, says and moves in a step."""
    trainer = toy.trainer("gpt2", "reinforce", policy={"max_new_tokens": 3})
    trainer.compile(stages)
    batch, _ = trainer.collect(toy.EXAMPLES[:4], 0)
    logs = trainer.learn(batch, 0)
    return batch.rollout, logs, trainer.policy.get_weights()


@pytest.fixture(scope="module")
def plain_step():
    return one_step([])


@pytest.mark.slow  # each compiles for half a minute
@pytest.mark.parametrize("stage", ["scoring", "update"])
def test_what_xla_compiles_gives_the_same_numbers(stage, plain_step):
    plain, logs, weights = plain_step
    rollout, told, moved = one_step([stage])
    mask = plain.mask
    np.testing.assert_array_equal(rollout.actions[mask], plain.actions[mask])
    np.testing.assert_allclose(
        rollout.reference_log_probs[mask],
        plain.reference_log_probs[mask],
        atol=1e-5,
    )
    assert told == pytest.approx(logs, abs=1e-5)
    for one, other in zip(moved, weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("stage", ["sampling", "rewards"])
def test_what_xla_cannot_compile_is_refused(stage):
    with pytest.raises(TokenRLError, match=f'"{stage}".*scoring and update'):
        check_stages([stage], tf.distribute.get_strategy())


def test_layers_computed_again_are_not_compiled():
    trainer = toy.trainer("gpt2", "reinforce")
    trainer.policy.checkpoint_gradients()
    with pytest.raises(TokenRLError, match='leave gradient_checkpointing or "'):
        trainer.compile(["update"])


def test_what_xla_refuses_is_said_in_a_sentence():
    graph = Graph(lambda x: tf.strings.as_string(x))
    graph.jit = True
    with (
        pytest.raises(TokenRLError, match='the update.*leave "update" out of'),
        compiling("update"),
    ):
        graph(np.array([3], np.int32))
