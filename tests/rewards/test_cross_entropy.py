"""The reward whose policy gradient is that of maximum likelihood."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.rewards.test_token_accuracy import respond
from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Rollout

TAGS = ("O", "B-A", "I-A")


def roll_out(log_probs):
    """A rollout of these log-probs, nothing masked."""
    mask = np.ones(np.shape(log_probs), bool)
    ids = np.zeros(mask.shape, np.int32)
    log_probs = np.asarray(log_probs, np.float32)
    return Rollout(ids, mask, ids, mask, log_probs, log_probs)


def test_right_tags_earn_what_their_probability_lacked():
    rollout = roll_out(np.log([[0.5, 0.1, 0.25]]))
    result = rewards.get("cross_entropy")(
        [Example("x", ("O B-A O",))], [respond(["O", "O", "O"])], rollout
    )
    np.testing.assert_allclose(result, [[1, -1, 3]], rtol=1e-5)


def test_by_enumeration_it_is_the_gradient_of_maximum_likelihood():
    """Two tags of three kinds: all 9 answers, each with its probability."""
    logits = tf.Variable([[0.3, -1.0, 0.7], [1.5, 0.2, -0.4]])
    gold = (1, 2)
    with tf.GradientTape() as tape:
        chosen = tf.gather(tf.nn.log_softmax(logits), gold, batch_dims=1)
        likelihood = tf.reduce_sum(chosen)
    expected = tape.gradient(likelihood, logits)
    answers = list(itertools.product(range(3), repeat=2))
    with tf.GradientTape() as tape:
        log_probs = tf.gather(
            tf.repeat(tf.nn.log_softmax(logits)[None], 9, axis=0),
            tf.constant(answers),
            batch_dims=2,
        )
        result = rewards.get("cross_entropy")(
            [Example("x", (" ".join(TAGS[i] for i in gold),))] * 9,
            [respond([TAGS[i] for i in answer]) for answer in answers],
            roll_out(log_probs.numpy()),
        )
        weights = tf.stop_gradient(tf.exp(tf.reduce_sum(log_probs, axis=1)))
        surrogate = tf.reduce_sum(weights[:, None] * log_probs * result)
    np.testing.assert_allclose(
        tape.gradient(surrogate, logits), expected, atol=1e-6
    )
    np.testing.assert_allclose(weights.numpy() @ result, [0, 0], atol=1e-6)


def test_the_limit_bounds_it():
    reward = rewards.get("cross_entropy", limit=10)
    rollout = roll_out([[-200.0, np.log(0.5)]])
    result = reward([Example("x", ("A A",))], [respond(["A", "A"])], rollout)
    np.testing.assert_allclose(result, [[9, 1]], rtol=1e-6)


def test_without_limit_what_cannot_be_is_named():
    with pytest.raises(TokenRLError, match="inf at position 0"):
        rewards.get("cross_entropy")(
            [Example("x", ("A",))], [respond(["A"])], roll_out([[-200.0]])
        )


def test_too_many_tags_are_wrong_and_no_reference_is_nothing():
    rollout = roll_out(np.log([[0.5, 0.5]] * 2))
    result = rewards.get("cross_entropy")(
        [Example("x", ("A",)), Example("y")], [respond(["A", "A"])] * 2, rollout
    )
    np.testing.assert_allclose(result, [[1, -1], [0, 0]])


def test_the_label_of_a_text_may_have_several_words(make_response):
    answers = ["very good", "very bad", "neutral"]
    result = rewards.get("cross_entropy")(
        [Example("x", ("very good",))] * 3,
        [make_response([answer], stopped=False) for answer in answers],
        roll_out(np.log([[0.5], [0.5], [0.5]])),
    )
    np.testing.assert_allclose(result, [[1], [-1], [-1]])


def test_a_tag_is_one_action(make_response, make_rollout):
    response = make_response(["B-", "A"])
    with pytest.raises(TokenRLError, match="one action per tag.*'B-', 'A'"):
        rewards.get("cross_entropy")(
            [Example("x", ("B-A",))], [response], make_rollout([response])
        )


@pytest.mark.parametrize("limit", [0, 0.5, float("nan")])
def test_a_limit_below_one_is_refused(limit):
    with pytest.raises(TokenRLError, match="limit"):
        rewards.get("cross_entropy", limit=limit)
