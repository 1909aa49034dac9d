"""Log-probs and entropy against TensorFlow's own, and by autodiff."""

import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl.ops import categorical

GENERATOR = np.random.default_rng(0)
LOGITS = tf.constant(GENERATOR.normal(0.0, 30.0, (7, 11)), tf.float32)
ACTIONS = tf.constant(GENERATOR.integers(0, 11, 7), tf.int32)
UPSTREAM = tf.constant(GENERATOR.normal(size=7), tf.float32)


def value_and_gradient(function):
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        value = function(LOGITS)
    return value, tape.gradient(value, LOGITS, output_gradients=UPSTREAM)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_log_probs_and_their_gradient(temperature):
    given = value_and_gradient(
        lambda x: categorical.log_probs(x, ACTIONS, temperature)
    )
    expected = value_and_gradient(
        lambda x: (
            -tf.nn.sparse_softmax_cross_entropy_with_logits(
                ACTIONS, x / temperature
            )
        )
    )
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_entropy_and_its_gradient(temperature):
    def plain(logits):
        log_p = tf.nn.log_softmax(logits / temperature)
        return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)

    given = value_and_gradient(lambda x: categorical.entropy(x, temperature))
    expected = value_and_gradient(plain)
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_bfloat16_logits_give_float32():
    logits = tf.cast(LOGITS, tf.bfloat16)
    assert categorical.log_probs(logits, ACTIONS).dtype == tf.float32
    assert categorical.entropy(logits).dtype == tf.float32


def test_many_rows_in_a_graph_of_unknown_shape():
    function = tf.function(
        categorical.log_probs,
        input_signature=[
            tf.TensorSpec([None, None], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ],
    )
    np.testing.assert_allclose(
        function(LOGITS, ACTIONS),
        categorical.log_probs(LOGITS, ACTIONS),
        rtol=1e-6,
    )
