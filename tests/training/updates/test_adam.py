"""One operation for each weight, the numbers of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl.training.updates.adam import Adam, rounded_at_random

SETTINGS = dict(learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-3)


def weights(dtype="float32"):
    rng = np.random.default_rng(0)
    shapes = ((3, 4), (4,))
    return [keras.Variable(rng.normal(size=s), dtype=dtype) for s in shapes]


def run(optimizer, variables, steps=5):
    """Weights and slots after some steps on random gradients."""
    optimizer.build(variables)
    rng = np.random.default_rng(1)

    @tf.function
    def step(*gradients):
        optimizer.apply(list(gradients))

    for _ in range(steps):
        gradients = [rng.normal(size=v.shape) for v in variables]
        step(
            *(
                tf.cast(g, v.dtype)
                for g, v in zip(gradients, variables, strict=True)
            )
        )
    return [v.numpy() for v in (*variables, *optimizer.variables)]


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}])
def test_the_numbers_and_slots_are_those_of_keras(options):
    ours = run(Adam(**SETTINGS, **options), weights())
    theirs = run(keras.optimizers.Adam(**SETTINGS, **options), weights())
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_half_precision_moves_as_float32_does():
    """Where Keras stands still: beta_2 = 0.999 is 1 in bfloat16."""
    options = dict(learning_rate=0.1)
    moved = run(Adam(**options), weights("bfloat16"), 3)
    wanted = run(Adam(**options), weights(), 3)
    for one, other in zip(moved[:2], wanted[:2], strict=True):
        np.testing.assert_allclose(one.astype("float32"), other, atol=0.03)
    still = run(keras.optimizers.Adam(**options), weights("bfloat16"), 3)
    np.testing.assert_array_equal(still[0], weights("bfloat16")[0].numpy())


def test_it_is_saved_and_revived():
    config = keras.saving.serialize_keras_object(Adam(**SETTINGS))
    revived = keras.saving.deserialize_keras_object(config)
    assert type(revived) is Adam and revived.beta_1 == SETTINGS["beta_1"]


def test_small_steps_in_bfloat16_are_right_on_average():
    """1 + 1/2048 lies at 1/16 of the way to the next number, 1 + 1/128."""
    x = tf.fill([20_000], 1 + 1 / 2048)
    found = tf.cast(rounded_at_random(x, tf.constant([0, 1])), tf.float32)
    assert set(np.unique(found)) == {1.0, 1 + 1 / 128}
    share = np.mean(found.numpy() > 1)
    assert abs(share - 1 / 16) < 4 * np.sqrt(1 / 16 / 20_000)
    again = rounded_at_random(x, tf.constant([0, 1]))
    other = rounded_at_random(x, tf.constant([0, 2]))
    assert (tf.cast(again, tf.float32) == found).numpy().all()
    assert (tf.cast(other, tf.float32) != found).numpy().any()
    for exact in (-1.5, 0.0, np.inf, -np.inf):
        kept = rounded_at_random(tf.fill([99], exact), tf.constant([3, 4]))
        assert (tf.cast(kept, tf.float32) == exact).numpy().all()
    negative = rounded_at_random(-x, tf.constant([0, 1]))
    np.testing.assert_array_equal(tf.cast(negative, tf.float32), -found)
