"""Last layers by parts: logits of some of the vocabulary at a time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_tokenrl.backbones import kernels, linear
from tf_tokenrl.decoding.sampling import mix_uniform
from tf_tokenrl.flow import Tensor
from tf_tokenrl.ops import categorical
from tf_tokenrl.ops.streamed import Head


class OutputLayer(NamedTuple):
    """What makes logits of states.

    Attributes:
        weights: tensors `[V, ...]`, one row for each entry.
        logits: `(states [N, ...], rows of the weights) -> float32 [N, rows]`,
            before temperature.
        before: what is made of states `[N, H]` first.
        learning: how many of the weights, the first ones, get gradients;
            None is all.
    """

    weights: list[tf.Tensor]
    logits: Callable[[tf.Tensor, Sequence[tf.Tensor]], tf.Tensor]
    before: Callable[[tf.Tensor], tf.Tensor] = tf.identity
    learning: int | None = None

    def __call__(self, states: tf.Tensor) -> tf.Tensor:
        """`[..., H]` -> float32 `[..., V]`, all of the vocabulary."""
        shape = tf.shape(states)[:-1]
        flat = tf.reshape(states, [-1, states.shape[-1]])
        found = self.logits(self.before(flat), self.weights)
        size = found.shape[-1]
        found = tf.reshape(found, tf.concat([shape, [size]], axis=0))
        return tf.ensure_shape(found, [*states.shape[:-1], size])


class Numbers(NamedTuple):
    """In which numbers logits are computed.

    Attributes:
        dtype: of the product.
        cap: soft bound of the logits, or None.
    """

    dtype: str
    cap: float | None = None

    @classmethod
    def of(cls, layer: keras.layers.ReversibleEmbedding) -> "Numbers":
        """Those of an embedding that also gives the logits."""
        dtype = layer.reverse_dtype or layer.compute_dtype
        return cls(dtype, layer.logit_soft_cap)

    def capped(self, logits: tf.Tensor) -> tf.Tensor:
        """Logits within the bound."""
        if self.cap is None:
            return logits
        return tf.tanh(logits / self.cap) * self.cap


def of_map(
    entries: linear.Entries, numbers: Numbers, frozen: bool = False
) -> OutputLayer:
    """That of a linear map to the vocabulary.

    Args:
        entries: of the map, see `linear`; `rows` `[V, H]` may stand for the
            kernel.
        numbers: how it computes.
        frozen: whether only what an adapter adds gets gradients.
    """
    added = entries.get(linear.ADAPTER, {})
    tied = "rows" in entries
    own = [entries["rows"] if tied else tf.transpose(entries["kernel"])]
    own += [entries["bias"]] if "bias" in entries else []
    names = [name for name in ("up", "scale", "shift") if name in added]
    more = [tf.transpose(added[n]) if n == "up" else added[n] for n in names]
    width = own[0].shape[1]

    def before(states):
        """What a low-rank product makes of states stands behind them."""
        if "down" not in added:
            return states
        inner = tf.matmul(states, tf.cast(added["down"], states.dtype))
        return tf.concat([states, inner], axis=-1)

    def logits(states, rows):
        states = tf.cast(states, numbers.dtype)
        rows = [tf.cast(x, numbers.dtype) for x in rows]
        by_name = dict(zip(names, rows[: len(names)], strict=True))
        kernel, *bias = rows[len(names) :]
        found = tf.matmul(states[:, :width], kernel, transpose_b=True)
        found = sum(bias, found)
        if "up" in by_name:
            inner = states[:, width:]
            found += tf.matmul(inner, by_name["up"], transpose_b=True)
        if "scale" in by_name:
            found *= by_name["scale"]
        if "shift" in by_name:
            found += by_name["shift"]
        return tf.cast(numbers.capped(found), tf.float32)

    learning = len(names) if frozen else None
    return OutputLayer([*more, *own], logits, before, learning)


def for_few_rows(
    entries: linear.Entries,
    numbers: Numbers,
    panels: list[tf.Tensor] | None = None,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The same map for decoding: `[N, H]` -> float32 `[N, V]`.

    Args:
        entries: as for `of_map`, without a bias.
        numbers: how it computes.
        panels: what `kernels.of_output` made of them, if it was called.
    """
    panels = panels or kernels.of_output(entries, numbers.dtype)

    def logits(hidden: tf.Tensor) -> tf.Tensor:
        hidden = tf.cast(hidden, numbers.dtype)
        parts = [kernels.apply({"kernel": w}, hidden) for w in panels]
        found = linear.adapted(
            entries,
            linear.side_by_side(parts),
            lambda matrix: tf.matmul(hidden, matrix),
        )
        return numbers.capped(tf.cast(found, tf.float32))

    return logits


def head(
    policy,
    states: tf.Tensor,
    temperature: Tensor,
    uniform: Tensor | None = None,
) -> Head:
    """What turns a policy's states `[N, H]` into its distributions.

    Args:
        policy: with `logits`, and better with `output_layer` too.
        states: of the positions where an action is chosen.
        temperature: of the distributions.
        uniform: share of the uniform distribution mixed in, or None. The
            mixture is made of whole distributions.
    """
    if uniform is not None or not hasattr(policy, "output_layer"):
        logits = tf.cast(policy.logits(states), tf.float32) / temperature
        if uniform is not None:
            size = tf.shape(logits)[-1]
            logits = mix_uniform(tf.nn.log_softmax(logits), uniform, size)
        return categorical.of_logits(logits)
    layer = policy.output_layer()
    logits_of, states = layer.logits, layer.before(states)
    if isinstance(temperature, float) and temperature == 1.0:
        return Head(states, layer.weights, logits_of, layer.learning)
    return Head(
        states,
        layer.weights,
        lambda *x: logits_of(*x) / temperature,
        layer.learning,
    )
