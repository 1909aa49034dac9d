"""Normalisations as functions of their weights, in float32 inside."""

import keras
import tensorflow as tf

from tf_tokenrl.backbones import linear


def layer_norm(weights: dict, x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """LayerNorm over the last axis.

    Args:
        weights: `scale` and `bias`, `[H]`.
        x: `[..., H]`.
        epsilon: added to the variance.
    """
    y = keras.ops.layer_normalization(
        tf.cast(x, tf.float32),
        tf.cast(weights["scale"], tf.float32),
        tf.cast(weights["bias"], tf.float32),
        axis=-1,
        epsilon=epsilon,
    )
    return linear.adapted(weights, tf.cast(y, x.dtype))


def rms_norm(weights: dict, x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """RMSNorm over the last axis, as KerasHub's Llama computes it.

    Args:
        weights: `scale` `[H]`.
        x: `[..., H]`.
        epsilon: added to the mean of squares.
    """
    wide = tf.cast(x, tf.float32)
    square = tf.reduce_mean(tf.square(wide), axis=-1, keepdims=True)
    wide *= tf.math.rsqrt(square + epsilon)
    wide *= tf.cast(weights["scale"], tf.float32)
    return linear.adapted(weights, tf.cast(wide, x.dtype))


def of_layer(layer) -> dict:
    """Where those of Keras' LayerNorm or KerasHub's RMSNorm live."""
    if isinstance(layer, keras.layers.LayerNormalization):
        return {
            "scale": linear.Leaf(layer.gamma),
            "bias": linear.Leaf(layer.beta),
        }
    return {"scale": linear.Leaf(layer.scale)}
