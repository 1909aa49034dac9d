"""Kernels in panels give what the layers themselves give."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl.backbones import kernels, linear
from tf_tokenrl.policies import output_layer

WIDTH = 24


def of_layer(*arguments, **options):
    return linear.values(linear.of_layer(*arguments, **options))


def inputs(rows=5):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(rows, WIDTH)), tf.float32)


@pytest.fixture(autouse=True)
def small_kernels_count(monkeypatch):
    """Panels are for kernels larger than those of a test."""
    monkeypatch.setattr(kernels, "_LEAST", 0)


@pytest.mark.parametrize("heads", [2, 3])
def test_layers_side_by_side(heads):
    """With two heads of 16 in panels of 32, with three in no panels."""
    layers = [
        keras.layers.EinsumDense(
            "bc,cde->bde", (heads, 16), bias_axes="de", bias_initializer="ones"
        )
        for _ in range(3)
    ]
    x = inputs()
    expected = [layer(x) for layer in layers]
    roles = {str(n): of_layer(layer) for n, layer in enumerate(layers)}
    weights = kernels.in_panels(linear.join(roles, list(roles), x.dtype))
    assert weights["kernel"].shape.rank == (3 if heads == 2 else 2)
    found = tf.split(kernels.apply(weights, x), 3, axis=-1)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, tf.reshape(other, one.shape), atol=1e-5)


def test_a_kernel_that_sums_over_two_axes_and_has_no_bias():
    layer = keras.layers.EinsumDense("bcd,cde->be", (128,))
    x = tf.reshape(inputs(), [5, 4, 6])
    expected = layer(x)
    weights = kernels.in_panels(of_layer(layer, inputs=2))
    found = kernels.apply(weights, tf.reshape(x, [5, -1]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"tie_weights": False}, {"logit_soft_cap": 0.5}]
)
@pytest.mark.parametrize("size", [20, 64, 150])
def test_logits_are_those_of_the_embedding(size, options):
    layer = keras.layers.ReversibleEmbedding(size, WIDTH, **options)
    layer.build()
    for variable in layer.weights:
        variable.assign(40 * variable)
    entries = linear.values(linear.of_embedding(layer))["logits"]
    numbers = output_layer.Numbers.of(layer)
    found = output_layer.for_few_rows(entries, numbers)(inputs())
    assert found.shape == (5, size)
    expected = layer(inputs(), reverse=True)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-5)
    whole = output_layer.of_map(entries, numbers)(inputs())
    np.testing.assert_allclose(whole, expected, atol=1e-5)


def test_half_precision_is_cast_when_prepared():
    layer = keras.layers.Dense(64, dtype="mixed_bfloat16")
    expected = layer(inputs())
    weights = linear.join({"up": of_layer(layer)}, ["up"], tf.bfloat16)
    weights = kernels.in_panels(weights)
    assert {w.dtype for w in weights.values()} == {tf.bfloat16}
    found = kernels.apply(weights, tf.cast(inputs(), tf.bfloat16))
    assert found.dtype == tf.bfloat16
    np.testing.assert_allclose(
        tf.cast(found, tf.float32), tf.cast(expected, tf.float32), atol=2e-2
    )
