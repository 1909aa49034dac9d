"""The reward models' losses against numbers that were worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.export.reward_model import ServedReward
from tf_tokenrl.flow import Example
from tf_tokenrl.training import objectives
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives import base
from tf_tokenrl.training.updates.adam import Adam

EXAMPLES = [
    Example("open a", ("file", "the name of a list"), "1"),
    Example("return the", ("given value", "or"), "2"),
    Example("", ("list", "number of a file"), "3"),
]


@pytest.fixture(scope="module")
def policy():
    return tiny.shared_policy("gru")


class Judge:
    """Gives an answer the number of its first token's row, at every place."""

    def __init__(self, *scores: float):
        self.scores = tf.constant(scores)

    def action_states(self, inputs, training):
        first = tf.gather(self.scores, inputs["actions"][:, 0])
        return tf.repeat(first[:, None], tf.shape(inputs["mask"])[1], axis=1)

    def state_values(self, states):
        return states


def pair():
    found = {"present": np.ones(1, bool)}
    for name, first in (("better_", 0), ("worse_", 1)):
        found |= {
            f"{name}prompt": np.ones((1, 1), np.int32),
            f"{name}prompt_mask": np.ones((1, 1), bool),
            f"{name}actions": np.full((1, 3), first, np.int32),
            f"{name}actions_mask": np.ones((1, 3), bool),
        }
    return found


@pytest.mark.parametrize(
    ("expression", "scores", "loss", "accuracy"),
    [
        ("pairwise", (1.0, 0.5), 0.474077, 1.0),
        ("pairwise(margin=0.3)", (1.0, 0.5), 0.598139, 1.0),
        ("pairwise(center=0.1)", (1.0, 0.5), 0.474077 + 0.225, 1.0),
        ("pairwise", (0.5, 0.5), 0.693147, 0.5),  # a tie is not right
        ("pairwise", (0.0, 1.0), 1.313262, 0.0),
    ],
)
def test_golden_losses(expression, scores, loss, accuracy):
    objective = objectives.parse(expression)
    terms = objective.terms(Judge(*scores), pair(), None, {})
    assert float(terms["loss"][0]) == pytest.approx(loss, abs=1e-5)
    assert float(terms["accuracy"][0]) == accuracy


@pytest.mark.parametrize("fill", [0, 7])
def test_a_score_is_what_is_served_and_no_padding_counts(policy, fill):
    rows = objectives.parse("pairwise").rows(policy, EXAMPLES)
    batch = rows.batch(np.arange(3), 1)
    for name in ("actions", "prompt"):
        for suffix in ("", "_mask"):
            column = f"worse_{name}{suffix}"
            batch[column] = np.pad(batch[column], [(0, 0), (0, fill)])
    found = base.answer_scores(policy, batch, "worse_")
    serve = ServedReward(policy).signatures()["reward"]
    served = serve(
        prompt=tf.constant([e.prompt for e in EXAMPLES]),
        answer=tf.constant([e.references[1] for e in EXAMPLES]),
    )
    np.testing.assert_allclose(found, served["score"], atol=1e-5)


def test_per_token_scores_are_the_mean_over_the_prefixes(policy):
    rows = objectives.parse("pairwise").rows(policy, EXAMPLES)
    batch = rows.batch(np.arange(3), 1)
    found = base.answer_scores(policy, batch, "better_", per_token=True)
    for index, example in enumerate(EXAMPLES):
        alone = policy.encode_pairs([example.prompt], [example.reference])
        values = policy.score(alone).values[0].numpy()
        assert float(found[index]) == pytest.approx(values.mean(), abs=1e-5)


def test_a_judge_learns_what_is_preferred():
    policy = tiny.policy("gru")
    learner = Learner(policy, objectives.parse("pairwise"), Adam(0.02))
    before = learner.measure(EXAMPLES)
    learner.fit(EXAMPLES, 15, 3)
    after = learner.measure(EXAMPLES)
    assert after["accuracy"] == 1.0
    assert after["loss"] < 0.3 * before["loss"]


def test_ratings_are_read_off_the_key(policy):
    rated = [
        Example("open a", ("file",), "1:0.7"),
        Example("open a", ("list",), "2:bad"),
    ]
    rows = objectives.parse("pointwise").rows(policy, rated)
    assert np.concatenate(rows.columns["score"]) == pytest.approx([0.7, 0.0])
    objective = objectives.parse("pointwise(kind='classification')")
    batch = rows.batch(np.arange(2), 1)
    terms = objective.terms(policy, batch, None, {})
    scores = base.answer_scores(policy, batch).numpy()
    wanted = np.log1p(np.exp(-scores)) + np.array([0.3, 1.0]) * scores
    np.testing.assert_allclose(terms["loss"], wanted, atol=1e-5)
    with pytest.raises(TokenRLError, match="is 7, and a classification"):
        objective.rows(policy, [Example("a", ("b",), "1:7")])
    with pytest.raises(TokenRLError, match="is not judged"):
        objective.rows(policy, [Example("a", ("b",), "1:nan")])
