"""Products of few rows with large kernels, prepared once before a loop."""

from collections.abc import Sequence

import tensorflow as tf


def kernels(*layers, inputs: int = 1) -> list[tf.Tensor]:
    """What `apply` needs of dense layers that read the same input.

    Kernels stand side by side, so that one product does for all; they are
    cast to the layers' compute dtype here and not at every step.

    Args:
        *layers: `Dense` or `EinsumDense`, all with or all without bias; of
            the kernel's axes the first `inputs` are summed over.
        inputs: see above.

    Returns:
        The kernel `[I, O]` and, if there are biases, the bias `[O]`.
    """
    dtype = layers[0].compute_dtype

    def flat(kernel):
        size = 1
        for axis in kernel.shape[:inputs]:
            size *= axis
        return tf.cast(tf.reshape(kernel, [size, -1]), dtype)

    found = [_side_by_side([flat(layer.kernel) for layer in layers])]
    biases = [layer.bias for layer in layers if layer.bias is not None]
    if biases:
        flat_biases = [tf.cast(tf.reshape(b, [-1]), dtype) for b in biases]
        found.append(_side_by_side(flat_biases))
    return found


def apply(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """`x @ kernel + bias`: `[N, I]` -> `[N, O]`."""
    y = tf.matmul(x, weights[0])
    return tf.nn.bias_add(y, weights[1]) if len(weights) > 1 else y


def _side_by_side(parts: list[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
