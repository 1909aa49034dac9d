"""Masked sums, means and whitening."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.ops import masking

NAN = float("nan")


@pytest.fixture
def ragged():
    x = np.array([[1.0, 2.0, NAN], [3.5, NAN, NAN]], np.float32)
    return tf.constant(x), tf.constant(np.isfinite(x))


def test_only_chosen_positions_count(ragged):
    x, mask = ragged
    assert masking.masked_sum(x, mask) == 6.5
    np.testing.assert_allclose(masking.masked_sum(x, mask, axis=1), [3, 3.5])
    np.testing.assert_allclose(masking.masked_mean(x, mask), 6.5 / 3)
    np.testing.assert_allclose(masking.masked_mean(x, mask, axis=1), [1.5, 3.5])
    np.testing.assert_allclose(
        masking.masked_mean(x, mask, axis=0), [2.25, 2, 0]
    )


def test_no_mask_means_everything():
    x = tf.constant([[1.0, 2.0], [3.0, 6.0]])
    assert masking.masked_sum(x) == 12
    assert masking.masked_mean(x) == 3


def test_nothing_chosen_gives_zero_and_zero_gradient():
    x, mask = tf.constant([[NAN, 1.0]]), tf.constant([[False, False]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        mean = masking.masked_mean(x, mask)
        total = mean + tf.reduce_sum(masking.masked_whiten(x, mask))
    assert mean == 0 and total == 0
    np.testing.assert_array_equal(tape.gradient(total, x), [[0, 0]])


def test_integers_become_float32():
    assert masking.keep_chosen([[1, 2]], [[True, False]]).dtype == tf.float32


def test_gradients_do_not_see_masked_slots(ragged):
    x, mask = ragged
    weights = tf.random.stateless_normal(x.shape, seed=(1, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = masking.masked_sum(masking.masked_whiten(x, mask) * weights)
    gradient = tape.gradient(loss, x).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[~mask.numpy()] == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_whitening_equals_its_definition(seed):
    random = np.random.default_rng(seed)
    x = random.normal(3, 5, (3, 6)).astype(np.float32)
    mask = random.random((3, 6)) < 0.7
    mask[0, :2] = True
    dirty = np.where(mask, x, NAN).astype(np.float32)
    white = masking.masked_whiten(dirty, mask).numpy()
    chosen = x[mask].astype(np.float64)
    expected = (chosen - chosen.mean()) / chosen.std()
    np.testing.assert_allclose(white[mask], expected, rtol=1e-4, atol=1e-4)
    assert (white[~mask] == 0).all()


def test_one_chosen_entry_is_whitened_to_zero():
    white = masking.masked_whiten([[5.0, NAN]], [[True, False]])
    np.testing.assert_array_equal(white, [[0, 0]])


def test_constant_entries_are_whitened_to_zero():
    x = tf.fill((2, 3), 4.0)
    np.testing.assert_array_equal(masking.masked_whiten(x), np.zeros((2, 3)))


def test_shapes_must_agree_and_have_two_axes():
    masking.check_shapes(np.zeros((2, 3)), tf.zeros((2, 3)))
    with pytest.raises(ValueError):
        masking.check_shapes(tf.zeros((2, 3)), tf.zeros((2, 1)))
    with pytest.raises(ValueError):
        masking.check_shapes(tf.zeros(3))


MASK = np.array([[True, True, False], [False] * 3, [False, True, False]])


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [
        ("token", [[1 / 3, 1 / 3, 0], [0] * 3, [0, 1 / 3, 0]]),
        ("sequence", [[1 / 4, 1 / 4, 0], [0] * 3, [0, 1 / 2, 0]]),
        ("constant", [[1 / 20, 1 / 20, 0], [0] * 3, [0, 1 / 20, 0]]),
    ],
)
def test_what_a_token_counts(normalization, expected):
    """A row without a token is no row."""
    found = masking.loss_weights(MASK, normalization, longest=10)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("normalization", ["token", "sequence", "constant"])
def test_no_token_counts_where_there_is_none(normalization):
    found = masking.loss_weights(np.zeros((2, 3), bool), normalization, 10)
    assert not found.numpy().any()
