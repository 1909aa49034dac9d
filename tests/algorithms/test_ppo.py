"""Proximal policy optimisation against actor-critic and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl import algorithms
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch


def gradients(algorithm, learn, rollout, rewards, scores):
    with tf.GradientTape() as tape:
        tape.watch(scores)
        _, loss, metrics = learn(algorithm, rollout, rewards, scores)
    return tape.gradient(loss, scores), metrics


@pytest.fixture
def first_update(make_batch):
    """Scores of the very policy that collected the batch."""
    rollout, rewards, scores = make_batch()
    scores = scores._replace(log_probs=rollout.log_probs, values=rollout.values)
    return rollout, rewards, tf.nest.map_structure(tf.constant, scores)


def test_the_first_update_is_actor_critic(first_update, learn):
    ours, metrics = gradients(
        algorithms.get("ppo", value_weight=0.5), learn, *first_update
    )
    theirs, _ = gradients(
        algorithms.get("actor_critic", value_weight=0.5), learn, *first_update
    )
    np.testing.assert_allclose(ours.log_probs, theirs.log_probs, atol=1e-6)
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-6)
    for name in ("approximate_kl", "ratio_clipped", "value_clipped"):
        assert not metrics[name].numpy().any()


def test_a_policy_far_off_in_the_right_direction_is_left_alone(
    first_update, learn
):
    rollout, rewards, scores = first_update
    algorithm = algorithms.get("ppo", value_weight=0)
    advantages = algorithm.targets(rollout, rewards).advantages
    far = scores._replace(log_probs=scores.log_probs + tf.sign(advantages))
    slopes, metrics = gradients(algorithm, learn, rollout, rewards, far)
    assert not slopes.log_probs.numpy().any()
    np.testing.assert_array_equal(metrics["ratio_clipped"], rollout.mask)
    assert (metrics["approximate_kl"].numpy()[rollout.mask] > 0).all()


def test_loss_is_the_weighted_sum(make_batch, learn):
    algorithm = algorithms.get("ppo", value_weight=0.25, entropy_weight=0.01)
    _, loss, metrics = learn(algorithm, *make_batch())
    np.testing.assert_allclose(
        loss,
        metrics["policy_loss"]
        + 0.25 * metrics["value_loss"]
        - 0.01 * metrics["entropy"],
        rtol=1e-5,
        atol=1e-6,
    )


def test_without_value_clip_the_value_loss_is_plain(make_batch, learn):
    rollout, rewards, scores = make_batch()
    algorithm = algorithms.get("ppo", value_clip=None)
    targets, _, metrics = learn(algorithm, rollout, rewards, scores)
    expected = 0.5 * np.square(scores.values - targets.returns)
    np.testing.assert_allclose(
        metrics["value_loss"].numpy()[rollout.mask],
        expected[rollout.mask],
        rtol=1e-5,
    )
    assert not metrics["value_clipped"].numpy().any()


def test_enough_is_one_and_a_half_times_the_target():
    algorithm = algorithms.get("ppo", target_kl=0.02)
    assert not algorithm.enough({"approximate_kl": 0.0299})
    assert algorithm.enough({"approximate_kl": 0.0301})
    assert not algorithms.get("ppo").enough({"approximate_kl": 1e9})


def test_each_minibatch_is_whitened_alone(make_batch):
    rollout, rewards, _ = make_batch()
    algorithm = algorithms.get("ppo", whiten="minibatch")
    plain = algorithms.get("ppo", whiten=False).targets(rollout, rewards)
    targets = algorithm.targets(rollout, rewards)
    np.testing.assert_array_equal(targets.advantages, plain.advantages)
    batch = Batch(rollout, rewards, targets)
    half = tf.nest.map_structure(lambda x: None if x is None else x[:2], batch)
    found = algorithm.minibatch_targets(half)
    chosen = found.advantages.numpy()[rollout.mask[:2]]
    np.testing.assert_allclose(chosen.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(chosen.std(), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.returns, plain.returns[:2])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("target_kl", -1),
        ("whiten", "epoch"),
        ("clip", -0.1),
        ("value_clip", -1),
        ("epochs", 0),
        ("minibatches", 1.5),
    ],
)
def test_impossible_options_are_named(option, value):
    with pytest.raises(TokenRLError, match=f"Ppo: {option}"):
        algorithms.get("ppo", **{option: value})
