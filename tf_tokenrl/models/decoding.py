"""The decode loop: one for every policy.

A `Decoder` knows how to read prompts into a cache and how to take one step;
this module knows when to sample, what to force, and when to stop.
"""

from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from tf_tokenrl.models.sampling import Sampling, draw, uniforms

Cache = Any


class Prefill(NamedTuple):
    """A batch of prompts, read.

    Attributes:
        hidden: `[B, H]`, the state from which the next token is drawn.
        cache: what `step` needs of the past, a structure of tensors.
        forced: int32 `[B, F]`, prompt tokens that are still to be read one
            by one; F is 0 for decoders that read whole prompts at once.
        forced_count: int32 `[B]`, how many of them each row has.
    """

    hidden: tf.Tensor
    cache: Cache
    forced: tf.Tensor
    forced_count: tf.Tensor


class Decoder(Protocol):
    """What a policy gives the loop."""

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read prompts `[B, P]`; leave room for `capacity` more columns."""

    def step(self, token_ids, column, lengths, cache):
        """Read `token_ids` `[B]` at `column`; return hidden and cache."""

    def cache_shapes(self, cache) -> Any:
        """The loop's shape invariants for `cache`."""

    def logits(self, hidden) -> tf.Tensor:
        """float32 `[B, V]`."""

    def values(self, hidden) -> tf.Tensor:
        """float32 `[B]`."""


class Decoded(NamedTuple):
    """Answers: actions, log-probs and values `[B, T]`, and their mask."""

    actions: tf.Tensor
    mask: tf.Tensor
    log_probs: tf.Tensor
    values: tf.Tensor


class _Column(NamedTuple):
    ids: tf.Tensor
    chosen: tf.Tensor
    log_probs: tf.Tensor
    values: tf.Tensor


def decode(
    decoder: Decoder,
    prompt_ids: tf.Tensor,
    lengths: tf.Tensor,
    seeds: tf.Tensor,
    sampling: Sampling,
    stop_ids: list[int],
    capacity: int,
) -> Decoded:
    """Sample answers until each row has stopped or used up its tokens.

    Args:
        decoder: the policy's own.
        prompt_ids: int32 `[B, P]`, padded on the right, at least one token.
        lengths: int32 `[B]`, tokens of each prompt.
        seeds: int64 `[B, 2]`.
        sampling: fields of shape `[B]`.
        stop_ids: tokens that end an answer; they belong to it.
        capacity: T, the most new tokens any row may take.

    Returns:
        `Decoded` of `[B, T]` tensors; masked slots hold zeros.
    """
    start = decoder.prefill(prompt_ids, lengths, capacity)
    noise = uniforms(seeds, capacity)
    limit = tf.minimum(sampling.max_new_tokens, capacity)
    last_column = capacity + tf.reduce_max(start.forced_count)

    def choose(column, hidden, alive):
        index = column - start.forced_count
        chosen = alive & (index >= 0) & (index < limit)
        row_noise = tf.gather(
            noise, tf.clip_by_value(index, 0, capacity - 1), batch_dims=1
        )
        ids, log_probs = draw(decoder.logits(hidden), row_noise, sampling)
        ids = tf.where(chosen, ids, 0)
        log_probs = tf.where(chosen, log_probs, 0.0)
        values = tf.where(chosen, decoder.values(hidden), 0.0)
        return _Column(ids, chosen, log_probs, values)

    def proceed(column, hidden, cache, alive, columns):
        taken = choose(column, hidden, alive)
        columns = tf.nest.map_structure(
            lambda array, value: array.write(column, value), columns, taken
        )
        index = column - start.forced_count
        stopped = _is_any(taken.ids, stop_ids) | (index + 1 >= limit)
        alive &= ~(taken.chosen & stopped) & (limit > 0)
        read = _forced_or(taken.ids, start, column)
        hidden, cache = decoder.step(read, column, lengths, cache)
        return column + 1, hidden, cache, alive, columns

    rows = tf.shape(prompt_ids)[0]
    columns = _no_columns(last_column)
    hidden_shape = tf.TensorShape([None, start.hidden.shape[-1]])
    column, _, _, _, columns = tf.while_loop(
        lambda column, hidden, cache, alive, columns: (
            (column < last_column) & tf.reduce_any(alive)
        ),
        proceed,
        (0, start.hidden, start.cache, tf.ones([rows], tf.bool), columns),
        shape_invariants=(
            tf.TensorShape([]),
            hidden_shape,
            decoder.cache_shapes(start.cache),
            tf.TensorShape([None]),
            _Column(*[tf.TensorShape(None)] * 4),
        ),
    )
    return _answers(columns, column, start.forced_count, capacity)


def _no_columns(count: tf.Tensor) -> _Column:
    dtypes = _Column(tf.int32, tf.bool, tf.float32, tf.float32)
    return _Column(
        *(tf.TensorArray(d, count, element_shape=[None]) for d in dtypes)
    )


def _is_any(ids: tf.Tensor, stop_ids: list[int]) -> tf.Tensor:
    stops = tf.constant(stop_ids, tf.int32, shape=[len(stop_ids)])
    return tf.reduce_any(ids[:, None] == stops[None], axis=-1)


def _forced_or(ids: tf.Tensor, start: Prefill, column) -> tf.Tensor:
    """`ids`, or the prompt's own token where the prompt is not over."""
    if start.forced.shape[-1] == 0:
        return ids
    width = tf.shape(start.forced)[1]
    padded = tf.pad(start.forced, [[0, 0], [0, 1]])
    forced = padded[:, tf.minimum(column, width)]
    return tf.where(column < start.forced_count, forced, ids)


def _answers(columns, count, first, capacity) -> Decoded:
    """Turn columns of the loop into `[B, T]` that start at each answer."""
    width = tf.range(capacity)[None] + first[:, None]
    inside = width < count
    width = tf.minimum(width, tf.maximum(count - 1, 0))

    def aligned(array, empty):
        table = tf.transpose(array.stack())
        return tf.where(inside, tf.gather(table, width, batch_dims=1), empty)

    return Decoded(
        aligned(columns.ids, 0),
        aligned(columns.chosen, False),
        aligned(columns.log_probs, 0.0),
        aligned(columns.values, 0.0),
    )
