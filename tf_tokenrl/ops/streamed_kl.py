"""Exact divergence over a vocabulary that is never held in memory at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tf_tokenrl.flow import Tensor


class Head(NamedTuple):
    """States and the last layer that makes logits of them.

    Attributes:
        states: float `[N, H]`.
        weights: tensors `[V, ...]`, one row for each entry of the vocabulary.
        logits: `(states, rows of weights) -> float32 [N, rows]`.
    """

    states: Tensor
    weights: Sequence[Tensor]
    logits: Callable[[Tensor, Sequence[Tensor]], Tensor]


def streamed_kl(policy: Head, reference: Head, chunk: int = 4096) -> Tensor:
    """KL(p || q) at each state, over the whole vocabulary, chunk by chunk.

        KL       = sum_v p_v (log p_v - log q_v)
        d KL / d logit_v = p_v (log p_v - log q_v - KL)

    Nothing larger than `[N, chunk]` is made, forwards or backwards: logits
    are computed again for the gradient. Equals `exact_kl` of both logits.

    Args:
        policy: of p; its states and weights get gradients.
        reference: of q, over the same vocabulary; gets none.
        chunk: entries of the vocabulary at a time.

    Returns:
        float32 `[N]` in nats, never below 0; +inf where p chooses what q
        never would.

    Source: the running maximum of Milakov and Gimelshein (2018), "Online
    normalizer calculation for softmax".
    """
    size = int(policy.weights[0].shape[0])
    chunks = _Chunks(size, min(chunk, size))
    reference = reference._replace(
        states=tf.stop_gradient(reference.states),
        weights=[tf.stop_gradient(w) for w in reference.weights],
    )

    @tf.custom_gradient
    def divergence(states, *weights):
        head = Head(states, weights, policy.logits)
        found = _forward(head, reference, chunks)

        def gradient(upstream):
            return _backward(head, reference, chunks, upstream, found)

        return tf.maximum(found[0], 0.0), gradient

    return divergence(policy.states, *policy.weights)


class _Chunks(NamedTuple):
    """A vocabulary in pieces of one size; the last overlaps the one before."""

    entries: int
    size: int

    @property
    def number(self) -> int:
        return -(-self.entries // self.size)

    @property
    def overlap(self) -> int:
        return self.number * self.size - self.entries

    def take(self, weights: Sequence[Tensor], index: Tensor) -> list[Tensor]:
        """The rows of a piece."""
        start = tf.minimum(index * self.size, self.entries - self.size)
        return [
            tf.slice(w, [start, *(0 for _ in rest)], [self.size, *rest])
            for w, rest in ((w, w.shape[1:]) for w in weights)
        ]

    def fresh(self, index: Tensor) -> Tensor:
        """bool `[size]`, False for entries that the piece before had."""
        last = tf.equal(index, self.number - 1)
        first = tf.where(last, self.overlap, 0)
        return tf.range(self.size) >= first

    def pieces(self, weights: Tensor) -> tf.TensorArray:
        """Room for a piece of each chunk."""
        shape = [self.size, *weights.shape[1:]]
        return tf.TensorArray(weights.dtype, self.number, element_shape=shape)

    def join(self, pieces: tf.TensorArray) -> Tensor:
        """The pieces `[size, ...]` without the overlap, `[entries, ...]`."""
        stacked = pieces.stack()
        rows = tf.reshape(stacked, [-1, *stacked.shape[2:]])
        before = (self.number - 1) * self.size
        return tf.concat([rows[:before], rows[before + self.overlap :]], 0)


def _loop(chunks: _Chunks, body: Callable, start: Sequence) -> list:
    """Runs `body(index, *values)` for one piece after the other."""
    _, *values = tf.while_loop(
        lambda index, *_: index < chunks.number,
        lambda index, *values: (index + 1, *body(index, *values)),
        [tf.constant(0), *start],
        parallel_iterations=1,
    )
    return values


def _logits(head: Head, rows: Sequence[Tensor], fresh: Tensor) -> Tensor:
    """float32 `[N, size]`; entries of the piece before become -inf."""
    found = tf.cast(head.logits(head.states, rows), tf.float32)
    return tf.where(fresh, found, -float("inf"))


def _share(p: Tensor, x: Tensor) -> Tensor:
    """p x, and 0 where p is 0 whatever x is."""
    return tf.where(p > 0, p * x, tf.zeros_like(p))


def _forward(policy: Head, reference: Head, chunks: _Chunks):
    """KL and both log-normalisers, float32 `[N]`."""
    nothing = tf.zeros_like(policy.states[:, 0], tf.float32)
    least = nothing + tf.float32.min

    def body(index, top_p, sum_p, gap, top_q, sum_q):
        fresh = chunks.fresh(index)
        z = _logits(policy, chunks.take(policy.weights, index), fresh)
        y = _logits(reference, chunks.take(reference.weights, index), fresh)
        kept, top_p = top_p, tf.maximum(top_p, tf.reduce_max(z, axis=1))
        kept, p = tf.exp(kept - top_p), tf.exp(z - top_p[:, None])
        gap = gap * kept + tf.reduce_sum(_share(p, z - y), axis=1)
        sum_p = sum_p * kept + tf.reduce_sum(p, axis=1)
        kept, top_q = top_q, tf.maximum(top_q, tf.reduce_max(y, axis=1))
        kept, q = tf.exp(kept - top_q), tf.exp(y - top_q[:, None])
        return top_p, sum_p, gap, top_q, sum_q * kept + tf.reduce_sum(q, axis=1)

    top_p, sum_p, gap, top_q, sum_q = _loop(
        chunks, body, [least, nothing, nothing, least, nothing]
    )
    log_p, log_q = top_p + tf.math.log(sum_p), top_q + tf.math.log(sum_q)
    return gap / sum_p - log_p + log_q, log_p, log_q


def _backward(policy: Head, reference: Head, chunks: _Chunks, upstream, found):
    """Gradients of the policy's states and of each of its weights."""
    value, log_p, log_q = (x[:, None] for x in found)

    def body(index, total, *pieces):
        rows, fresh = chunks.take(policy.weights, index), chunks.fresh(index)
        y = _logits(reference, chunks.take(reference.weights, index), fresh)
        with tf.GradientTape() as tape:
            tape.watch([policy.states, rows])
            z = _logits(policy, rows, fresh)
        p = tf.exp(z - log_p)
        outer = _share(p, upstream[:, None] * (z - log_p - y + log_q - value))
        states, parts = tape.gradient(
            z, [policy.states, rows], outer, unconnected_gradients="zero"
        )
        written = [
            piece.write(index, part)
            for piece, part in zip(pieces, parts, strict=True)
        ]
        return (total + tf.cast(states, tf.float32), *written)

    total, *pieces = _loop(
        chunks,
        body,
        [
            tf.zeros_like(policy.states, tf.float32),
            *map(chunks.pieces, policy.weights),
        ],
    )
    joined = [chunks.join(piece) for piece in pieces]
    return tf.cast(total, policy.states.dtype), *joined
