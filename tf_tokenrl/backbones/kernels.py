"""Products of few rows with large kernels, prepared once before a loop.

On a CPU the product of 8 rows with a kernel takes as long as the kernel takes
to be read. oneDNN reads some columns at a time; in a kernel `[I, O]` they lie
`O` numbers apart, row after row. Here a kernel is therefore cut into panels
`[O / C, I, C]`, each of which is read from its first number to its last; C is
32 in float32 and 64 in bfloat16.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

_PANEL = 128  # bytes of a panel's row
_LEAST = 2**20  # bytes; a kernel up to here stays in a core's cache


def kernels(*layers, inputs: int = 1) -> list[tf.Tensor]:
    """What `apply` needs of dense layers that read the same input.

    Kernels stand side by side, so that one product does for all; they are
    cast to the layers' compute dtype here and not at every step.

    Args:
        *layers: `Dense` or `EinsumDense`, all with or all without bias; of
            the kernel's axes the first `inputs` are summed over.
        inputs: see above.

    Returns:
        The kernel `[I, O]`, and the bias `[O]` if there is one.
    """
    dtype = layers[0].compute_dtype

    def flat(kernel):
        size = 1
        for axis in kernel.shape[:inputs]:
            size *= axis
        return tf.cast(tf.reshape(kernel, [size, -1]), dtype)

    kernel = _side_by_side([flat(layer.kernel) for layer in layers])
    biases = [layer.bias for layer in layers if layer.bias is not None]
    if not biases:
        return [kernel]
    flat_biases = [tf.cast(tf.reshape(b, [-1]), dtype) for b in biases]
    return [kernel, _side_by_side(flat_biases)]


def in_panels(weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """What `kernels` gave, for few rows: cut if the kernel's width allows."""
    kernel, *bias = weights
    size = kernel.shape[0] * kernel.shape[1] * kernel.dtype.size
    fits = kernel.shape[1] % _columns(kernel) == 0
    if fits and size > _LEAST and _panels_pay():
        kernel = _in_panels(kernel)
    return [kernel, *bias]


def apply(weights: Sequence[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """`x @ kernel + bias`: `[N, I]` -> `[N, O]`."""
    kernel, *bias = weights
    if kernel.shape.rank == 2:
        y = tf.matmul(x, kernel)
    else:
        y = _rows(tf.matmul(x[None], kernel))
    return tf.nn.bias_add(y, bias[0]) if bias else y


class Output:
    """The logits of an embedding that also gives them.

    Args:
        layer: the embedding.
        weights: what another `Output` of the layer prepared.
    """

    def __init__(
        self,
        layer: keras.layers.ReversibleEmbedding,
        weights: list[tf.Tensor] | None = None,
    ):
        self.layer = layer
        self.dtype = layer.reverse_dtype or layer.compute_dtype
        self.weights = weights or self._prepare()

    def __call__(self, hidden: tf.Tensor) -> tf.Tensor:
        """`[N, H]` -> float32 `[N, V]`."""
        hidden = tf.cast(hidden, self.dtype)
        found = _side_by_side([apply([w], hidden) for w in self.weights])
        found = tf.cast(found, tf.float32)
        cap = self.layer.logit_soft_cap
        return found if cap is None else tf.tanh(found / cap) * cap

    def _prepare(self) -> list[tf.Tensor]:
        """The kernel; as panels, and what is left beside the last of them.

        To fill up the last panel would take a copy of the whole kernel.
        """
        tied = self.layer.tie_weights
        if tied:
            rows = tf.cast(self.layer.embeddings, self.dtype)
        else:
            kernel = tf.cast(self.layer.reverse_embeddings, self.dtype)
        if not _panels_pay():
            return [tf.transpose(rows) if tied else kernel]
        columns = _PANEL // tf.as_dtype(self.dtype).size
        last = self.layer.input_dim // columns * columns
        if tied:
            panels = tf.reshape(rows[:last], [-1, columns, rows.shape[1]])
            parts = [tf.transpose(panels, [0, 2, 1]), tf.transpose(rows[last:])]
        else:
            parts = [_in_panels(kernel[:, :last]), kernel[:, last:]]
        return [part for part in parts if 0 not in part.shape]


def _rows(y: tf.Tensor) -> tf.Tensor:
    """Products `[P, N, C]` as `[N, P C]`."""
    return tf.reshape(_swapped(y), [-1, y.shape[0] * y.shape[2]])


def _in_panels(kernel: tf.Tensor) -> tf.Tensor:
    size, columns = kernel.shape[0], _columns(kernel)
    return _swapped(tf.reshape(kernel, [size, -1, columns]))


def _swapped(x: tf.Tensor) -> tf.Tensor:
    """`[A, B, C]` -> `[B, A, C]`, moved as whole numbers.

    Floats would be moved by oneDNN, which takes up to three times as long,
    and longer for few.
    """
    whole = tf.as_dtype(f"int{8 * x.dtype.size}")
    moved = tf.transpose(tf.bitcast(x, whole), [1, 0, 2])
    return tf.bitcast(moved, x.dtype)


def _columns(kernel: tf.Tensor) -> int:
    """C, of a panel."""
    return _PANEL // kernel.dtype.size


def _panels_pay() -> bool:
    """Whether products run on a CPU."""
    return not tf.config.list_physical_devices("GPU")


def _side_by_side(parts: list[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
