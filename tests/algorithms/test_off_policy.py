"""Weights of answers that another version gave."""

import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl import algorithms
from tf_tokenrl.flow import Batch, Rollout, Scores


def batch(old, rewards):
    """One action each: drawn with probability `old`."""
    shape = np.shape(old)
    rollout = Rollout(
        np.ones((shape[0], 1), np.int32),
        np.ones((shape[0], 1), bool),
        np.zeros(shape, np.int32),
        np.ones(shape, bool),
        np.log(old).astype(np.float32),
        np.zeros(shape, np.float32),
    )
    return rollout, np.asarray(rewards, np.float32)


def learn(algorithm, rollout, rewards, new):
    log_probs = tf.Variable(np.log(new).astype(np.float32))
    zeros = tf.zeros_like(log_probs)
    targets = algorithm.targets(rollout, rewards)
    with tf.GradientTape() as tape:
        loss, metrics = algorithm.loss(
            Batch(rollout, rewards, targets), Scores(log_probs, zeros, zeros)
        )
    return tape.gradient(loss, log_probs).numpy(), metrics


@pytest.mark.parametrize(("cap", "estimate"), [(1.5, 0.75), (2.0, 0.9)])
def test_the_estimate_is_truncated_and_says_so(cap, estimate):
    """Drawn by (.5, .5), wanted (.9, .1), reward (1, 0): truth 0.9."""
    rollout, rewards = batch([[0.5], [0.5]], [[1.0], [0.0]])
    algorithm = algorithms.get("off_policy", cap=cap)
    _, metrics = learn(algorithm, rollout, rewards, [[0.9], [0.1]])
    weight = metrics["weight"].numpy()
    assert (weight * rewards).mean() == pytest.approx(estimate, abs=1e-6)
    capped = metrics["weight_capped"].numpy()
    assert capped.tolist() == [[float(cap < 1.8)], [0.0]]


def test_the_gradient_is_the_weight_times_the_return():
    rollout, rewards = batch([[0.5, 0.2]], [[0.0, 2.0]])
    algorithm = algorithms.get("off_policy", cap=3.0, discount=0.5)
    gradient, _ = learn(algorithm, rollout, rewards, [[0.6, 0.8]])
    np.testing.assert_allclose(gradient, [[-1.2 * 1.0, -3.0 * 2.0]], atol=1e-5)


def test_long_answers_are_not_capped_for_rounding():
    """0.012 nats a token: over 100 tokens the product would be 3.3."""
    old = np.full((2, 100), 0.5)
    rollout, rewards = batch(old, np.ones((2, 100)))
    algorithm = algorithms.get("off_policy", cap=1.5)
    _, metrics = learn(algorithm, rollout, rewards, old * np.exp(0.012))
    assert not metrics["weight_capped"].numpy().any()
    np.testing.assert_allclose(metrics["weight"], np.exp(0.012), rtol=1e-4)
