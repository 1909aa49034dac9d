"""KTO against numbers that were worked out by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tests.training.objectives.test_dpo import Told
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.training import objectives
from tf_tokenrl.training.objectives.kto import _partners


def batch(liked):
    rows = len(liked)
    found = {
        "present": np.ones(rows, bool),
        "liked": np.array(liked, np.float32)[:, None],
    }
    for name in ("", "other_"):
        found |= {
            f"{name}prompt": np.ones((rows, 2), np.int32),
            f"{name}prompt_mask": np.ones((rows, 2), bool),
            f"{name}actions": np.ones((rows, 3), np.int32),
            f"{name}actions_mask": np.ones((rows, 3), bool),
        }
    return found


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_golden_losses():
    """log p - log q is 2 and beta is 0.1; z is 0.5, or negative and cut."""
    objective = objectives.parse("kto(beta=0.1, disliked_weight=1.5)")
    policy, reference = Told(-10.0, 0.0), Told(-12.0, 0.0)
    for mean, z in ((0.5, 0.5), (-3.0, 0.0)):
        seen = {"baseline": tf.constant(mean)}
        terms = objective.terms(policy, batch([1, 0]), reference, seen)
        wanted = [
            1 - sigmoid(0.1 * (2 - z)),
            1.5 * (1 - sigmoid(0.1 * (z - 2))),
        ]
        np.testing.assert_allclose(terms["loss"], wanted, atol=1e-6)


def test_the_baseline_is_a_constant_and_the_signs_are_right():
    policy, reference = Told(-10.0, 0.0), Told(-12.0, 0.0)
    objective = objectives.parse("kto")
    given = batch([1])
    with tf.GradientTape() as tape:
        seen = objective.look(policy, given, reference)
        seen = {k: tf.stop_gradient(tf.reduce_mean(v)) for k, v in seen.items()}
        loss = objective.terms(policy, given, reference, seen)["loss"]
    assert float(seen["baseline"]) == pytest.approx(2.0, abs=1e-5)
    found = tf.convert_to_tensor(tape.gradient(loss, policy.totals))
    # d/dr of 1 - s(beta (r - z)) at r = z.
    np.testing.assert_allclose(found, [0.0, -0.1 / 4, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("prompts", "partners"),
    [
        ("abcde", [1, 2, 3, 4, 0]),  # no row is its own partner
        ("aabb", [2, 2, 0, 0]),
        ("abaa", [1, 2, 1, 1]),
        ("aaab", [3, 3, 3, 0]),
        ("baaa", [1, 0, 0, 0]),
    ],
)
def test_partners_have_another_prompt(prompts, partners):
    assert _partners(list(prompts)) == partners


def test_one_prompt_alone_is_refused():
    examples = [Example("a", ("x",), "1:good"), Example("a", ("y",), "2:bad")]
    with pytest.raises(TokenRLError, match="two different prompts"):
        objectives.parse("kto").rows(tiny.shared_policy("gru"), examples)


def test_an_answer_that_nobody_judged_is_refused():
    examples = [Example("a", ("x",), "1")]
    with pytest.raises(TokenRLError, match="is not judged.*:good"):
        objectives.parse("kto").rows(tiny.shared_policy("gru"), examples)


def test_half_a_thumb_is_refused():
    examples = [Example("a", ("x",), "1:0.5"), Example("b", ("x",), "2:bad")]
    with pytest.raises(TokenRLError, match="up and down, not the score 0.5"):
        objectives.parse("kto").rows(tiny.shared_policy("gru"), examples)
