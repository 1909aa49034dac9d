"""Losses by hand, by their gradients, and against golden numbers."""

import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl.ops import losses

NAN = float("nan")
YES = tf.constant([[True]])


def one(x):
    return tf.constant([[x]], tf.float32)


def test_policy_gradient_loss_and_its_gradient():
    log_probs = tf.constant([[-1.0, -2.0, NAN]])
    advantages = tf.constant([[3.0, -0.5, NAN]])
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        loss = losses.policy_gradient_loss(
            log_probs, advantages, tf.constant([[True, True, False]])
        )
    np.testing.assert_allclose(loss, [[3, -1, 0]])
    np.testing.assert_allclose(tape.gradient(loss, log_probs), [[-3, 0.5, 0]])


@pytest.mark.parametrize(
    ("advantage", "ratio", "expected", "clipped"),
    [
        (2.0, 1.1, -2.2, 0),
        (2.0, 1.5, -2.4, 1),  # good action already much likelier
        (2.0, 0.5, -1.0, 0),
        (-2.0, 0.9, 1.8, 0),
        (-2.0, 0.5, 1.6, 1),  # bad action already much rarer
        (-2.0, 1.5, 3.0, 0),
    ],
)
def test_clipped_surrogate_by_sign_and_side(
    advantage, ratio, expected, clipped
):
    log_probs = one(np.log(ratio) - 1.0)
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        loss, is_clipped = losses.clipped_surrogate_loss(
            log_probs, one(-1.0), one(advantage), YES, clip=0.2
        )
    np.testing.assert_allclose(loss, [[expected]], rtol=1e-6)
    assert is_clipped == clipped
    slope = 0.0 if clipped else -advantage * ratio
    np.testing.assert_allclose(
        tape.gradient(loss, log_probs), [[slope]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("advantage", "ratio", "expected"),
    [(2.0, 1.25, -2.5), (2.0, 1.5, -2.6), (-2.0, 0.85, 1.8), (-2.0, 1.5, 3.0)],
)
def test_the_two_bounds_of_the_ratio_may_differ(advantage, ratio, expected):
    loss, _ = losses.clipped_surrogate_loss(
        one(np.log(ratio)), one(0.0), one(advantage), YES, 0.1, clip_high=0.3
    )
    np.testing.assert_allclose(loss, [[expected]], rtol=1e-6)


def test_at_ratio_one_the_surrogate_is_the_policy_gradient():
    log_probs = tf.constant([[-0.3, -1.7, -4.0]])
    advantages = tf.constant([[1.0, -2.0, 0.3]])
    mask = tf.ones_like(log_probs, tf.bool)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(log_probs)
        plain = losses.policy_gradient_loss(log_probs, advantages, mask)
        surrogate, _ = losses.clipped_surrogate_loss(
            log_probs, tf.identity(log_probs), advantages, mask, 0.2
        )
    np.testing.assert_allclose(
        tape.gradient(surrogate, log_probs), tape.gradient(plain, log_probs)
    )


@pytest.mark.parametrize("gap", [-200.0, 200.0])
@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_diverged_ratios_stay_finite(gap, advantage):
    log_probs = one(gap)
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        loss, _ = losses.clipped_surrogate_loss(
            log_probs, one(0.0), one(advantage), YES, 0.2
        )
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, log_probs)).all()


@pytest.mark.parametrize(
    ("value", "old", "target", "expected", "clipped"),
    [
        (1.1, 1.0, 2.0, 0.5 * 0.9**2, 0),
        (1.5, 1.0, 2.0, 0.5 * 0.8**2, 1),  # came near too fast
        (0.5, 1.0, 2.0, 0.5 * 1.5**2, 0),  # went away: full pull back
        (3.0, 1.0, 2.0, 0.5 * 1.0**2, 0),
    ],
)
def test_clipped_value_loss(value, old, target, expected, clipped):
    values = one(value)
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss, is_clipped = losses.clipped_value_loss(
            values, one(old), one(target), YES, clip=0.2
        )
    np.testing.assert_allclose(loss, [[expected]], rtol=1e-5)
    assert is_clipped == clipped
    slope = 0.0 if clipped else value - target
    np.testing.assert_allclose(
        tape.gradient(loss, values), [[slope]], rtol=1e-5
    )


def test_value_loss_is_half_the_square():
    np.testing.assert_allclose(
        losses.value_loss(one(1.0), one(4.0), YES), [[4.5]]
    )


def test_what_was_collected_is_constant_and_masked_slots_are_dead():
    learned, collected = (
        ("log_probs", "values"),
        (
            "old_log_probs",
            "advantages",
            "old_values",
            "returns",
        ),
    )
    mask = np.array([[True, False, True], [False, False, True]])

    def run(junk):
        random = np.random.default_rng(3)
        t = {
            name: tf.constant(
                np.where(mask, random.normal(size=mask.shape), junk),
                tf.float32,
            )
            for name in learned + collected
        }
        with tf.GradientTape() as tape:
            tape.watch(t)
            surrogate, _ = losses.clipped_surrogate_loss(
                t["log_probs"], t["old_log_probs"], t["advantages"], mask, 0.2
            )
            value, _ = losses.clipped_value_loss(
                t["values"], t["old_values"], t["returns"], mask, 0.2
            )
            loss = surrogate + value
        return loss, tape.gradient(loss, t)

    clean, clean_gradients = run(0.0)
    dirty, gradients = run(NAN)
    np.testing.assert_array_equal(clean, dirty)
    for name in collected:
        assert gradients[name] is None
    for name in learned:
        np.testing.assert_array_equal(gradients[name], clean_gradients[name])
        assert (gradients[name].numpy()[~mask] == 0).all()


# Expected numbers of TF-Agents 0.18.0: actions 0 and 1 under normal
# distributions N(9, 8) and N(15, 12), returns 1.9 and 1.


def normal_log_probs():
    action, mean, scale = np.array([[0, 1], [9, 15], [8, 12]])
    return (
        -0.5 * ((action - mean) / scale) ** 2
        - np.log(scale)
        - 0.5 * np.log(2 * np.pi)
    )[None].astype(np.float32)


def test_golden_reinforce():
    # ReinforceAgentTest.testPolicyGradientLoss
    loss = losses.policy_gradient_loss(
        normal_log_probs(), np.array([[1.9, 1.0]]), np.ones((1, 2), bool)
    )
    np.testing.assert_allclose(
        tf.reduce_sum(loss), 10.983667373657227, rtol=1e-6
    )


def test_golden_surrogate():
    # PPOAgentTest.testGetEpochLoss
    loss, _ = losses.clipped_surrogate_loss(
        normal_log_probs(),
        np.array([[0.9, 0.3]]),
        np.array([[1.9, 1.0]]),
        np.ones((1, 2), bool),
        clip=10,
    )
    np.testing.assert_allclose(tf.reduce_mean(loss), -0.0164646133, rtol=1e-6)
