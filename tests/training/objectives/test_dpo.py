"""DPO and IPO against numbers that were worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.training import objectives
from tf_tokenrl.training.objectives import base


class Told:
    """A policy that gives answers the log-probs it was told.

    An answer is known by its first token: 1 is the preferred one.
    """

    def __init__(self, better: float, worse: float):
        self.totals = tf.Variable([0.0, better, worse])

    def __call__(self, inputs, training, temperature):
        mask = tf.cast(inputs["mask"], tf.float32)
        total = tf.gather(self.totals, inputs["actions"][:, 0])
        share = total / tf.reduce_sum(mask, -1)
        # Masked slots hold what must not be looked at.
        return {"log_probs": tf.where(inputs["mask"], share[:, None], np.nan)}


def batch(lengths=(4, 8), copies=1):
    found = {"present": np.ones(copies, bool)}
    for name, first, length in zip(
        ("better_", "worse_"), (1, 2), lengths, strict=True
    ):
        found |= {
            f"{name}prompt": np.ones((copies, 2), np.int32),
            f"{name}prompt_mask": np.ones((copies, 2), bool),
            f"{name}actions": np.full((copies, length + 7), first, np.int32),
            f"{name}actions_mask": np.arange(length + 7)[None].repeat(copies, 0)
            < length,
        }
    return found


POLICY, REFERENCE = (-10.0, -12.0), (-11.0, -11.5)


@pytest.mark.parametrize(
    ("expression", "loss"),
    [
        ("dpo(beta=0.1)", 0.620957),
        ("dpo(beta=0.1, label_smoothing=0.1)", 0.635957),
        ("dpo(beta=0.1, loss='ipo')", 21.972656),  # means over 4 and 8 tokens
    ],
)
def test_golden_losses(expression, loss):
    objective = objectives.parse(expression)
    terms = objective.terms(Told(*POLICY), batch(), Told(*REFERENCE), {})
    assert float(terms["loss"][0]) == pytest.approx(loss, abs=1e-5)
    assert float(terms["accuracy"][0]) == 1.0


def test_the_gradient_of_each_side():
    policy = Told(*POLICY)
    objective = objectives.parse("dpo(beta=0.1)")
    with tf.GradientTape() as tape:
        loss = objective.terms(policy, batch(), Told(*REFERENCE), {})["loss"]
    found = tf.convert_to_tensor(tape.gradient(loss, policy.totals))
    np.testing.assert_allclose(found, [0.0, -0.046257, 0.046257], atol=1e-6)


def test_equal_policies_have_no_margin_and_half_the_accuracy():
    for expression in ("dpo", "dpo(loss='ipo')"):
        objective = objectives.parse(expression)
        terms = objective.terms(Told(*POLICY), batch(), Told(*POLICY), {})
        assert float(terms["margin"][0]) == 0.0
        assert float(terms["accuracy"][0]) == 0.5
    loss = objectives.parse("dpo").terms(
        Told(*POLICY), batch(), Told(*POLICY), {}
    )["loss"]
    assert float(loss[0]) == pytest.approx(0.693147, abs=1e-6)


def test_sums_over_answers_are_those_of_the_scoring_pass():
    """At temperature 1, whatever the policy samples at, end token included."""
    policy = tiny.policy("gru", temperature=0.5)
    examples = [
        Example("open a", ("file", "the name of a list")),
        Example("return the", ("given value", "or")),
    ]
    rows = objectives.parse("dpo").rows(policy, examples)
    found = base.answer_log_probs(policy, rows.batch(np.arange(2), 1), "worse_")
    for index, example in enumerate(examples):
        alone = policy.encode_pairs([example.prompt], [example.references[1]])
        scores = policy.score(alone, temperature=tf.constant(1.0))
        assert alone.actions[0, -1] in policy.stop_ids
        wanted = float(tf.reduce_sum(scores.log_probs))
        assert float(found[index]) == pytest.approx(wanted, abs=1e-5)


def test_both_answers_have_the_prompt_that_sampling_has():
    policy = tiny.shared_policy("gru")
    examples = [Example("open a", ("file", "the name of a list"))]
    rows = objectives.parse("dpo").rows(policy, examples).columns
    ids, mask = policy.encode(["open a"])
    for name in ("better_prompt", "worse_prompt"):
        np.testing.assert_array_equal(rows[name][0], ids[0][mask[0]])


def test_equal_pairs_are_left_out():
    """Also those that the tokenizer does not tell apart."""
    examples = [
        Example("a", ("file", "list")),
        Example("b", ("file", "file")),
        Example("c", ("a file", "a  file ")),
    ]
    policy = tiny.shared_policy("gru")
    assert objectives.parse("dpo").usable(policy, examples) == examples[:1]
    with pytest.raises(TokenRLError, match='"b" prefers an answer to itself'):
        objectives.parse("dpo").rows(policy, examples)


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("dpo(loss='hinge')", "sigmoid, ipo"),
        ("dpo(beta=0)", "beta must be above 0"),
        ("dpo(label_smoothing=0.5)", "below 0.5"),
        ("dpo(loss='ipo', label_smoothing=0.1)", "no label_smoothing"),
    ],
)
def test_bad_options(expression, sentence):
    with pytest.raises(TokenRLError, match=sentence):
        objectives.parse(expression)
