"""Answers whose first tokens are given and whose rest is sampled.

The given tokens are read as the end of the prompt, so that the decode loop
knows nothing of them; what is sampled is then moved to its place behind them.
"""

from typing import NamedTuple

import tensorflow as tf

from tf_tokenrl.flow import Rollout, Tensor


class Prefix(NamedTuple):
    """How each answer begins.

    Attributes:
        ids: int32 `[B, F]`.
        counts: int32 `[B]`, how many of them count, 0 to F.
        ended: bool `[B]`, True where the answer ends with them.
    """

    ids: Tensor
    counts: Tensor
    ended: Tensor


def join_prefix(prompt_ids: Tensor, prompt_mask: Tensor, prefix: Prefix):
    """Prompts `[B, P + F]` and their mask, the given tokens behind each."""
    lengths = tf.reduce_sum(tf.cast(prompt_mask, tf.int32), axis=-1)
    width = tf.shape(prompt_ids)[1]
    joined = tf.concat([prompt_ids, prefix.ids], axis=1)
    place = tf.range(tf.shape(joined)[1])[None]
    behind = place - lengths[:, None]
    source = tf.where(behind < 0, place, width + behind)
    source = tf.minimum(source, tf.shape(joined)[1] - 1)
    mask = behind < prefix.counts[:, None]
    ids = tf.gather(joined, source, batch_dims=1)
    return tf.where(mask, ids, 0), mask


def mark(prefix: Prefix) -> Prefix:
    """The tokens as -1 - id, so that `divide` finds them behind a prompt."""
    return prefix._replace(ids=-1 - prefix.ids)


def divide(ids: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Prompts and the marked tokens behind them, taken apart.

    Args:
        ids: int32 `[B, L]`, padded on the right.
        lengths: int32 `[B]`.

    Returns:
        The prompts `[B, L]` and their lengths `[B]`, the marked tokens
        `[B, F]` and their counts `[B]`; padding is 0.
    """
    column = tf.range(tf.shape(ids)[1])[None]
    marked = (column < lengths[:, None]) & (ids < 0)
    counts = tf.reduce_sum(tf.cast(marked, tf.int32), axis=-1)
    lengths -= counts
    place = tf.range(tf.reduce_max(counts))[None]
    last = tf.shape(ids)[1] - 1
    source = tf.minimum(lengths[:, None] + place, last)
    given = -1 - tf.gather(ids, source, batch_dims=1)
    return (
        tf.where(column < lengths[:, None], ids, 0),
        lengths,
        tf.where(place < counts[:, None], given, 0),
        counts,
    )


def place_after(prefix: Prefix, rest: Rollout) -> Rollout:
    """Whole answers `[B, T]`: the prefix, then what was sampled behind it.

    A row's columns move on by the length of its prefix, which fills the first
    places of the actions; everything else is 0 there.
    """
    place = tf.range(tf.shape(rest.mask)[1])[None]
    source = place - prefix.counts[:, None]
    chosen = source >= 0

    def moved(x, empty):
        taken = tf.gather(x, tf.maximum(source, 0), batch_dims=1)
        return tf.where(chosen, taken, empty)

    last = tf.maximum(tf.shape(prefix.ids)[1] - 1, 0)
    shape = tf.shape(rest.mask)
    begun = tf.gather(
        tf.pad(prefix.ids, [[0, 0], [0, 1]]),
        tf.broadcast_to(tf.minimum(place, last), shape),
        batch_dims=1,
    )
    return rest._replace(
        actions=tf.where(chosen, moved(rest.actions, 0), begun),
        mask=moved(rest.mask, False),
        log_probs=moved(rest.log_probs, 0.0),
        values=moved(rest.values, 0.0),
    )
