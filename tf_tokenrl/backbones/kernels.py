"""Products of few rows with large kernels, prepared once before a loop.

On a CPU the product of 8 rows with a kernel takes as long as the kernel takes
to be read. oneDNN reads some columns at a time; in a kernel `[I, O]` they lie
`O` numbers apart, row after row. Here a kernel is therefore cut into panels
`[O / C, I, C]`, each of which is read from its first number to its last; C is
32 in float32 and 64 in bfloat16.
"""

from collections.abc import Mapping

import tensorflow as tf

_PANEL = 128  # bytes of a panel's row
_LEAST = 2**20  # bytes; a kernel up to here stays in a core's cache


def in_panels(entries: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The entries of a map for few rows: cut if the kernel's width allows."""
    kernel = entries["kernel"]
    size = kernel.shape[0] * kernel.shape[1] * kernel.dtype.size
    fits = kernel.shape[1] % _columns(kernel) == 0
    if fits and size > _LEAST and _panels_pay():
        kernel = _in_panels(kernel)
    return {**entries, "kernel": kernel}


def apply(entries: Mapping[str, tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """`x @ kernel + bias`: `[N, I]` -> `[N, O]`."""
    kernel = entries["kernel"]
    if kernel.shape.rank == 2:
        y = tf.matmul(x, kernel)
    else:
        y = _rows(tf.matmul(x[None], kernel))
    return tf.nn.bias_add(y, entries["bias"]) if "bias" in entries else y


def of_output(
    entries: Mapping[str, tf.Tensor], dtype: tf.DType
) -> list[tf.Tensor]:
    """The kernel of a map to the vocabulary, cut for few rows.

    What is left beside the last panel stands by itself: filling that panel
    up would take a copy of the whole kernel.

    Args:
        entries: `rows` `[V, H]` of an embedding, or `kernel` `[H, V]`.
        dtype: of the products.
    """
    tied = "rows" in entries
    kernel = tf.cast(entries["rows" if tied else "kernel"], dtype)
    if not _panels_pay():
        return [tf.transpose(kernel) if tied else kernel]
    columns = _PANEL // kernel.dtype.size
    last = kernel.shape[0 if tied else 1] // columns * columns
    if tied:
        panels = tf.reshape(kernel[:last], [-1, columns, kernel.shape[1]])
        parts = [tf.transpose(panels, [0, 2, 1]), tf.transpose(kernel[last:])]
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
