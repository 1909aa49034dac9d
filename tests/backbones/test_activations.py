"""GELU against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.backbones.activations import gelu

X = tf.constant(np.linspace(-12.0, 12.0, 2001), tf.float32)


def value_and_slope(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value, tape.gradient(value, x)


@pytest.mark.parametrize(
    ("dtype", "bound"), [("float32", 5e-6), ("bfloat16", 2**-7)]
)
def test_value_and_slope_are_tensorflows(dtype, bound):
    """In bfloat16 within its rounding of the largest slope, 1.13."""
    wanted = value_and_slope(lambda x: tf.nn.gelu(x, approximate=True), X)
    x = tf.cast(X, dtype)
    found = value_and_slope(gelu, x)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == dtype
        rounding = bound * (1 + np.abs(other))
        if dtype == "bfloat16":  # x itself is rounded
            rounding = rounding + bound * np.abs(X)
        assert (np.abs(tf.cast(one, tf.float32) - other) <= rounding).all()


def test_the_layers_of_gpt2_use_it():
    backbone = tiny.shared_policy("gpt2").backbone
    for layer in backbone.transformer_layers:
        assert layer._feedforward_intermediate_dense.activation is gelu
    layer.get_config()  # still KerasHub's
    assert layer.activation is not gelu
