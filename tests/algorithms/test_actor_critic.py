"""Actor-critic between its two extremes."""

import numpy as np

from tf_tokenrl import algorithms


def test_trace_decay_one_is_reinforce_with_a_value_baseline(make_batch, learn):
    critic = algorithms.get("actor_critic", trace_decay=1, whiten=False)
    reinforce = algorithms.get("reinforce", baseline="value")
    targets, loss, _ = learn(critic, *make_batch())
    others, same, _ = learn(reinforce, *make_batch())
    for ours, theirs in zip(targets, others, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(loss, same, atol=1e-6)


def test_trace_decay_zero_looks_one_step_ahead(make_batch):
    rollout, rewards, _ = make_batch()
    algorithm = algorithms.get(
        "actor_critic", trace_decay=0, discount=0.9, whiten=False
    )
    targets = algorithm.targets(rollout, rewards)
    expected = rewards[0, :4] + 0.9 * np.append(rollout.values[0, 1:4], 0)
    np.testing.assert_allclose(targets.returns[0, :4], expected, rtol=1e-5)


def test_two_steps_ahead_by_hand(make_batch):
    rollout, rewards, _ = make_batch()
    algorithm = algorithms.get(
        "actor_critic", steps=2, discount=0.9, whiten=False
    )
    targets = algorithm.targets(rollout, rewards)
    r, v = rewards[0, :4], rollout.values[0, :4]
    expected = [
        r[0] + 0.9 * r[1] + 0.81 * v[2],
        r[1] + 0.9 * r[2] + 0.81 * v[3],
        r[2] + 0.9 * r[3],
        r[3],
    ]
    np.testing.assert_allclose(targets.returns[0, :4], expected, rtol=1e-5)


def test_loss_is_the_weighted_sum(make_batch, learn):
    algorithm = algorithms.get(
        "actor_critic", value_weight=0.25, entropy_weight=0.01
    )
    _, loss, metrics = learn(algorithm, *make_batch())
    np.testing.assert_allclose(
        loss,
        metrics["policy_loss"]
        + 0.25 * metrics["value_loss"]
        - 0.01 * metrics["entropy"],
        rtol=1e-5,
        atol=1e-6,
    )
