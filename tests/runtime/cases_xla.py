"""What XLA compiles gives the same numbers; run by `test_tracing.py`."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import toy
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.runtime.tracing import Graph, compiling


def test_a_compiled_graph_gives_the_same_numbers():
    graph, compiled = (Graph(lambda x: tf.nn.softmax(x)) for _ in range(2))
    compiled.jit = True
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    np.testing.assert_allclose(graph(x), compiled(x), atol=1e-6)
    (traced,) = compiled._traced.values()
    assert traced.function_def.attr["_XlaMustCompile"].b


def one_step(stages):
    """What a fresh trainer samples, judges, says and moves in a step."""
    trainer = toy.trainer(
        "gpt2", "reinforce", policy={"max_new_tokens": 3}, jit=tuple(stages)
    )
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


def test_what_xla_refuses_is_said_in_a_sentence():
    graph = Graph(lambda x: tf.strings.as_string(x), jit=True)
    with (
        pytest.raises(TokenRLError, match='the update.*leave "update" out of'),
        compiling("update"),
    ):
        graph(np.array([3], np.int32))
