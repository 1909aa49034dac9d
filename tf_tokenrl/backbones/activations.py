"""GELU in fewer operations, which keeps less for the gradient."""

import keras
import tensorflow as tf

_LINEAR = 1.5957691216057308  # 2 sqrt(2 / pi)
_CUBIC = 0.044715 * _LINEAR


@tf.custom_gradient
def gelu(x: tf.Tensor) -> tf.Tensor:
    """The GELU of GPT-2, elementwise, in float32 inside.

        y     = x s(x),   s(x) = sigmoid(x (a + b x^2))
        dy/dx = s + x s (1 - s) (a + 3 b x^2)

    with a = 2 sqrt(2 / pi) and b = 0.044715 a. Equal to
    `tf.nn.gelu(x, approximate=True)`, for sigmoid(2 u) = (1 + tanh u) / 2; six
    operations forwards and seven backwards instead of nine and thirteen, and
    two tensors are kept instead of seven.

    Source: Hendrycks and Gimpel (2016), "Gaussian Error Linear Units", eq. 2.
    """
    wide = tf.cast(x, tf.float32)
    gate = tf.sigmoid(wide * (_LINEAR + _CUBIC * tf.square(wide)))

    def gradient(upstream):
        wide = tf.cast(x, tf.float32)
        slope = wide * (_LINEAR + 3.0 * _CUBIC * tf.square(wide))
        slope = gate + tf.raw_ops.SigmoidGrad(y=gate, dy=slope)
        return upstream * tf.cast(slope, upstream.dtype)

    return tf.cast(wide * gate, x.dtype), gradient


def lighten(model: keras.Model) -> None:
    """Let the dense layers of a model that have this GELU use it."""
    for layer in model._flatten_layers():
        name = getattr(getattr(layer, "activation", None), "__name__", "")
        if isinstance(layer, keras.layers.Dense) and name == "gelu_approximate":
            layer.activation = gelu
