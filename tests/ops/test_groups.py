"""Comparisons within groups, by loops and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl.ops import groups

NAN = float("nan")


def test_hold_fills_each_slot_with_the_nearest_entry():
    x = tf.constant([[NAN, 1.0, NAN, 3.0, NAN], [NAN] * 5, [7.0] * 5])
    np.testing.assert_array_equal(
        groups.hold(x, tf.math.is_finite(x)),
        [[1, 1, 1, 3, 3], [0] * 5, [7] * 5],
    )


def test_mean_of_others_by_a_loop():
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    found = groups.mean_of_others(tf.constant(x), 3).numpy()
    for row in range(6):
        first = row // 3 * 3
        others = [r for r in range(first, first + 3) if r != row]
        np.testing.assert_allclose(found[row], x[others].mean(0), rtol=1e-5)


def test_group_advantages_by_hand():
    """Rewards 1, 2, 6: mean 3, deviation sqrt((4 + 1 + 9) / 2) = sqrt(7)."""
    returns = tf.constant([[1.0], [2.0], [6.0]])
    plain = groups.group_advantages(returns, 3, scale=False)
    np.testing.assert_allclose(plain, [[-2], [-1], [3]], rtol=1e-6)
    scaled = groups.group_advantages(returns, 3, scale=True)
    expected = np.array([[-2], [-1], [3]]) / (np.sqrt(7) + 1e-4)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)


@pytest.mark.parametrize("worth", [0.1, 7.3, 1e6])
@pytest.mark.parametrize("group", [3, 7])
def test_equal_rewards_teach_exactly_nothing(worth, group):
    """Their float32 mean may differ from them: 3 * 0.1 / 3, say."""
    returns = tf.fill([group, 2], tf.constant(worth, tf.float32))
    found = groups.group_advantages(returns, group, scale=True)
    assert not found.numpy().any()


def test_groups_know_nothing_of_each_other():
    x = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    both = groups.group_advantages(tf.constant(x), 4, True).numpy()
    for half in (slice(0, 4), slice(4, 8)):
        alone = groups.group_advantages(tf.constant(x[half]), 4, True)
        np.testing.assert_array_equal(both[half], alone)
