"""Linear maps by role: what a layer's function is given and how it is applied.

The weights of a layer are a dictionary: the name of a role ("query", "down",
...) leads to the entries of its map, which are tensors:

    kernel    [I, O]
    bias      [O], where the map has one
    adapter   what an adapter adds, see `adapted`; absent where there is none

An architecture first says where they live, as a tree of `Leaf`; `values` are
the tensors of a moment.

A map is switched off, frozen, joined with others or laid out for decoding by
another dictionary, never by a flag that a trace would keep.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tf_tokenrl.backbones import kernels

Entries = dict
Weights = dict[str, Entries]
Groups = tuple[tuple[str, ...], ...]  # roles whose maps read the same input

# What an adapter adds to a map; all else are the map's own weights.
ADAPTER, PREFIX = "adapter", "prefix"


class Leaf:
    """A variable of Keras as an entry: where a weight lives.

    Attributes:
        variable: of Keras.
        shape: in which layers use it.
    """

    def __init__(self, variable, shape: Sequence[int] | None = None):
        self.variable = variable
        self.shape = tuple(shape or variable.shape)

    def tensor(self) -> tf.Tensor:
        """Its value now."""
        value = raw(self.variable)
        return value if value.shape == self.shape else self._as(value)

    def assign(self, value) -> None:
        """Write a value of the shape in which layers use it."""
        self.variable.assign(tf.reshape(value, self.variable.shape))

    def _as(self, value: tf.Tensor) -> tf.Tensor:
        return tf.reshape(value, self.shape)


def raw(variable) -> tf.Tensor:
    """A Keras variable's value as it is kept.

    Its property `value` has the compute dtype of whatever layer is being
    called; here maps and norms choose theirs themselves.
    """
    return tf.convert_to_tensor(variable._value)


def values(weights):
    """A tree of leaves as one of tensors; what is one leaf is one tensor."""
    found: dict[int, tf.Tensor] = {}

    def value(leaf):
        if not isinstance(leaf, Leaf):
            return leaf
        if id(leaf) not in found:
            found[id(leaf)] = leaf.tensor()
        return found[id(leaf)]

    return tf.nest.map_structure(value, weights)


def of_layer(layer, inputs: int = 1) -> Entries:
    """Where the entries of a `Dense` or an `EinsumDense` live.

    Args:
        layer: of Keras.
        inputs: how many of the kernel's axes are summed over.
    """
    shape = layer.kernel.shape
    width = math.prod(shape[:inputs])
    size = math.prod(shape[inputs:])
    entries = {"kernel": Leaf(layer.kernel, [width, size])}
    if layer.bias is not None:
        entries["bias"] = Leaf(layer.bias, [size])
    return entries


def of_embedding(layer) -> Weights:
    """The two roles of a `ReversibleEmbedding`.

    Returns:
        `embedding` with its `table` `[V, H]`, and `logits` with `rows`, which
        are the same leaf where the two are tied, or a `kernel` `[H, V]`.
    """
    table = Leaf(layer.embeddings)
    if layer.tie_weights:
        logits = {"rows": table}
    else:
        logits = {"kernel": Leaf(layer.reverse_embeddings)}
    return {"embedding": {"table": table}, "logits": logits}


def apply(weights: Weights, x: tf.Tensor, *roles: str) -> tf.Tensor:
    """What the maps of some roles make of x, side by side.

    Args:
        weights: of a layer.
        x: `[N, I]`.
        *roles: maps that read the same input; one product serves all.

    Returns:
        `[N, O]`, O the sum of the widths of their outputs.
    """

    def times(matrix):
        return tf.matmul(x, matrix)

    if len(roles) == 1:
        y = kernels.apply(join(weights, roles, x.dtype), x)
        return adapted(weights[roles[0]], y, times)
    name = "+".join(roles)  # of what was joined before a loop
    prepared = name in weights
    y = kernels.apply(
        weights[name] if prepared else join(weights, roles, x.dtype), x
    )
    if not any(ADAPTER in weights.get(role, {}) for role in roles):
        return y
    widths = [weights[role]["kernel"].shape[-1] for role in roles]
    parts = zip(roles, tf.split(y, widths, axis=-1), strict=True)
    return side_by_side([adapted(weights[r], y, times) for r, y in parts])


def join(
    weights: Weights, roles: Sequence[str], dtype: tf.DType
) -> dict[str, tf.Tensor]:
    """Kernels and biases of some roles side by side, in a dtype."""
    names = ("kernel", "bias") if "bias" in weights[roles[0]] else ("kernel",)
    return {
        name: side_by_side([tf.cast(weights[r][name], dtype) for r in roles])
        for name in names
    }


def adapted(
    entries: Entries,
    y: tf.Tensor,
    times: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
) -> tf.Tensor:
    """What an adapter makes of a map's output; y itself without one.

        y <- (y + (x down) up) scale + shift
        y <- y + relu(y narrow + narrow_bias) widen + widen_bias

    Args:
        entries: of the map; of the adapter's each pair and each vector may be
            absent.
        y: `[N, O]`, what the map gives.
        times: the product of the map's input with a matrix; none is taken
            where there is no pair.
    """
    added = entries.get(ADAPTER, {})

    def cast(name):
        return tf.cast(added[name], y.dtype)

    if "down" in added:
        y += tf.matmul(times(cast("down")), cast("up"))
    if "scale" in added:
        y *= cast("scale")
    if "shift" in added:
        y += cast("shift")
    if "narrow" in added:
        inside = tf.nn.relu(tf.matmul(y, cast("narrow")) + cast("narrow_bias"))
        y += tf.matmul(inside, cast("widen")) + cast("widen_bias")
    return y


def embed(
    weights: Weights,
    ids: tf.Tensor,
    positions: tf.Tensor,
    dtype: str,
    segments: tf.Tensor | None = None,
) -> tf.Tensor:
    """Ids `[N]` at positions `[N]` -> `[N, H]`, before normalisation."""

    def rows(table, index):
        return tf.cast(tf.gather(table, index), dtype)

    entries = weights["embedding"]
    x = rows(entries["table"], ids)
    # An id is a vector of zeros with a 1: its product with A is a row of A.
    x = adapted(entries, x, lambda matrix: tf.gather(matrix, ids))
    if "positions" in weights:
        x += rows(weights["positions"]["table"], positions)
    if "segments" in weights:
        x += rows(weights["segments"]["table"], segments)
    return x


def frozen(weights):
    """The same weights without gradients, but for what adapters add."""
    if isinstance(weights, dict):
        return {
            name: part if name in (ADAPTER, PREFIX) else frozen(part)
            for name, part in weights.items()
        }
    return tf.stop_gradient(weights)


def side_by_side(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Tensors joined along their last axis."""
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)
