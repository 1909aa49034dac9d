"""Drawing one token per row from logits, with the log-prob it was drawn at."""

import math
from typing import NamedTuple

import tensorflow as tf

from tf_tokenrl.flow import Tensor

_BLOCK = 256


class Sampling(NamedTuple):
    """How tokens are drawn; every field is a number or a `[B]` tensor.

    Attributes:
        temperature: logits are divided by it; 0 takes the most likely token.
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the smallest set of most likely tokens whose probability
            reaches p (the token that crosses p is kept); 1 keeps all.
        max_new_tokens: the most tokens an answer may have, its stop token
            included.
        uniform: share of the uniform distribution over the whole vocabulary
            that is mixed in last, from 0 to 1; greedy rows leave it out.
    """

    temperature: Tensor = 1.0
    top_k: Tensor = 0
    top_p: Tensor = 1.0
    max_new_tokens: Tensor = 32
    uniform: Tensor = 0.0

    @property
    def truncates(self) -> bool:
        """Whether plain numbers cut the support of the distribution."""
        return self.top_k > 0 or self.top_p < 1.0

    def per_row(self, rows: tf.Tensor) -> "Sampling":
        """The same, each field a tensor of shape `[rows]`."""

        def spread(value, dtype):
            return tf.broadcast_to(tf.cast(value, dtype), [rows])

        return Sampling(
            spread(self.temperature, tf.float32),
            spread(self.top_k, tf.int32),
            spread(self.top_p, tf.float32),
            spread(self.max_new_tokens, tf.int32),
            self.uniform
            if _is_zero(self.uniform)
            else spread(self.uniform, tf.float32),
        )

    def tensors(self) -> dict[str, tf.Tensor]:
        """The fields by name, for `Sampling(**tensors)`; no share of 0."""
        fields = self._asdict()
        if _is_zero(self.uniform):
            del fields["uniform"]
        return fields


def row_seeds(seed: tf.Tensor, first: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Seeds int64 `[rows, 2]` of the rows `first .. first + rows - 1`.

    A row's seed depends on its index in the *global* batch alone, so that
    replicas never share noise and one replica draws what two draw.
    """
    index = tf.range(rows, dtype=tf.int64) + tf.cast(first, tf.int64)
    seed = tf.fill([rows], tf.cast(seed, tf.int64))
    return tf.stack([seed, index], axis=1)


def uniforms(seeds: tf.Tensor, steps: int) -> tf.Tensor:
    """Uniform numbers in [0, 1), float32 `[B, steps, 2]`.

    Row `b` is a function of `seeds[b]` alone: batch neighbours, replicas
    and restarts do not change it.
    """

    def one_row(seed):
        return tf.random.stateless_uniform([steps, 2], seed, alg="philox")

    return tf.map_fn(one_row, seeds, fn_output_signature=tf.float32)


def draw(
    logits: tf.Tensor, noise: tf.Tensor, sampling: Sampling
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw one token per row: `y ~ softmax(logits / temperature)`.

    The inverse of the cumulative distribution in two levels (first a block
    of the vocabulary, then a token of it), so the vocabulary is not sorted
    unless `top_k` or `top_p` ask for it.

    Args:
        logits: float32 `[B, V]`.
        noise: float32 `[B, 2]` in [0, 1), see `uniforms`.
        sampling: fields of shape `[B]`.

    Returns:
        ids: int32 `[B]`.
        log_probs: float32 `[B]`, nats, under exactly the distribution drawn
            from: after temperature, top-k, top-p and mixing. A greedy row
            (temperature 0) reports the log-prob of its token at
            temperature 1 over the whole vocabulary.
    """
    greedy = sampling.temperature <= 0.0
    logits = tf.cast(logits, tf.float32)
    logits = tf.cond(
        tf.reduce_all(greedy | (sampling.temperature == 1.0)),
        lambda: logits,
        lambda: _heated(logits, tf.where(greedy, 1.0, sampling.temperature)),
    )
    cut = ~greedy & ((sampling.top_k > 0) | (sampling.top_p < 1.0))
    logits = tf.cond(
        tf.reduce_any(cut),
        lambda: tf.where(cut[:, None], truncate(logits, sampling), logits),
        lambda: logits,
    )
    weights = tf.nn.softmax(logits)
    if not _is_zero(sampling.uniform):
        share = tf.where(greedy, 0.0, sampling.uniform)[:, None]
        mean = tf.reduce_mean(weights, axis=-1, keepdims=True)
        weights = (1.0 - share) * weights + share * mean
    sampled, total = _invert(weights, noise)
    ids = tf.cond(
        tf.reduce_any(greedy),
        lambda: tf.where(
            greedy, tf.argmax(logits, -1, output_type=tf.int32), sampled
        ),
        lambda: sampled,
    )
    chosen = tf.gather(weights, ids, batch_dims=1)
    return ids, tf.math.log(chosen) - tf.math.log(total)


def mix_uniform(log_probs: Tensor, share: Tensor, size: Tensor) -> Tensor:
    """log((1 - share) p + share / size), elementwise, nats.

    The log-probs of a distribution over `size` tokens after `share` of the
    uniform one has been mixed in: what `draw` draws from. With share 0 this
    is `log_probs`, and so is its gradient, however small p is.
    """
    share = tf.cast(share, tf.float32)
    own = tf.math.log1p(-share) + log_probs
    other = tf.math.log(share) - tf.math.log(tf.cast(size, tf.float32))
    high, low = tf.maximum(own, other), tf.minimum(own, other)
    return high + tf.math.log1p(tf.exp(low - high))


def truncate(logits: tf.Tensor, sampling: Sampling) -> tf.Tensor:
    """Logits `[B, V]` with all outside top-k and top-p set to -inf.

    Top-k is applied first, then top-p to what is left, renormalised; ties
    with the last kept token are kept.
    """
    ordered = tf.sort(logits, direction="DESCENDING", axis=-1)
    size = tf.shape(logits)[-1]
    k = tf.where(sampling.top_k > 0, sampling.top_k, size)
    kept = tf.range(size)[None] < k[:, None]
    ordered = tf.where(kept, ordered, float("-inf"))
    probabilities = tf.nn.softmax(ordered)
    before = tf.cumsum(probabilities, axis=-1, exclusive=True)
    kept &= (before < sampling.top_p[:, None]) | (tf.range(size)[None] == 0)
    last = tf.reduce_sum(tf.cast(kept, tf.int32), axis=-1) - 1
    threshold = tf.gather(ordered, last, batch_dims=1)
    return tf.where(logits >= threshold[:, None], logits, float("-inf"))


def _heated(logits: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """Logits over temperatures, the best of each row at 0."""
    logits -= tf.reduce_max(logits, axis=-1, keepdims=True)
    return logits / temperature[:, None]


def _invert(weights: tf.Tensor, noise: tf.Tensor):
    """Tokens int32 `[B]` drawn with `weights` `[B, V]`, and their total."""
    rows = tf.shape(weights)[0]
    width = _block(weights.shape[1])
    if weights.shape[1] is None or weights.shape[1] % width:
        missing = -tf.shape(weights)[1] % width
        weights = tf.pad(weights, [[0, 0], [0, missing]])
    blocks = tf.reshape(weights, [rows, -1, width])
    block, total = _first_above(tf.reduce_sum(blocks, axis=-1), noise[:, 0])
    inside = tf.gather(blocks, block, batch_dims=1)
    token, _ = _first_above(inside, noise[:, 1])
    return block * width + token, total


def _block(size: int | None) -> int:
    """How many tokens to sum at a time: a divisor of `size` if one is fit."""
    fit = [n for n in range(64, 4097) if size and size % n == 0]
    return min(fit, key=lambda n: abs(math.log(n / _BLOCK)), default=_BLOCK)


def _first_above(weights: tf.Tensor, noise: tf.Tensor):
    """First index whose cumulative weight exceeds `noise * total`.

    The index found always has a positive weight: where the product is
    rounded up to the total, it is the one that completes the total.
    """
    cumulative = tf.cumsum(weights, axis=-1)
    total = cumulative[:, -1]
    below = cumulative <= (noise * total)[:, None]
    below &= cumulative < total[:, None]
    return tf.reduce_sum(tf.cast(below, tf.int32), axis=-1), total


def _is_zero(share: Tensor) -> bool:
    """True for the plain number 0, for which nothing need be computed."""
    return isinstance(share, float | int) and not share
