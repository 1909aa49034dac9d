"""Decoding a transformer with a key-value cache in two parts.

All that is older than the current chunk stands still while a chunk is
decoded; only the keys and values of the chunk grow. A step so costs what it
reads, and copies at most one chunk. No XLA op is used, so the loop runs in a
stock TensorFlow Serving.

Rows end in the same column. A row that is shorter than others, or was let in
later, has columns in front that are none of its own; they are masked.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tf_tokenrl.backbones import packing
from tf_tokenrl.backbones.attention import Places
from tf_tokenrl.backbones.layers import step_layer
from tf_tokenrl.backbones.transformer import Transformer
from tf_tokenrl.decoding.loop import Decoder, Prefill, take


class Past(NamedTuple):
    """What stands still: each row's own columns are the last `lengths`."""

    lengths: tf.Tensor  # int32 [B]
    mask: tf.Tensor  # bool [B, 1, 1, C]
    keys: list[tf.Tensor]  # of each layer, [B, key heads, C, size]
    values: list[tf.Tensor]
    memory: "Past | None" = None  # the same of another text

    def of_layer(self, number: int) -> tuple[tf.Tensor, ...]:
        """Keys, values and mask of a layer, a part of what it attends to."""
        return self.keys[number], self.values[number], self.mask


class CachedAttentionDecoder(Decoder):
    """The decoder of a policy whose architecture is known.

    Args:
        policy: its own.
        transformer: its backbone, laid out for decoding.
        logits: of states, as fast as they can be had.
    """

    def __init__(self, policy, transformer: Transformer, logits: Callable):
        super().__init__(policy)
        self.transformer = transformer
        self.logits = logits
        self.last_position = policy.max_prompt_tokens + policy.max_new_tokens
        self.last_position -= 1

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """See `Decoder.prefill`."""
        return self.read(prompt_ids, lengths)

    def read(self, ids, lengths, memory: Past | None = None) -> Prefill:
        """Read texts, from their first token to their last.

        Args:
            ids: int32 `[B, L]`, padded on the right.
            lengths: int32 `[B]`.
            memory: other texts that layers look at.
        """
        place = Places.of(lengths, tf.shape(ids)[1])
        x, keys, values = packing.read(
            self.transformer, ids, place, by_layer(memory)
        )
        last = tf.gather(x, tf.cumsum(lengths) - 1)
        cache = {"lengths": lengths, "keys": keys, "values": values}
        return Prefill(self.transformer.normalize(last), cache)

    def open(self, cache):
        """See `Decoder.open`."""
        empty = [x[:, :, :0] for x in cache["keys"]]
        return past_of(cache), {"keys": empty, "values": list(empty)}

    def step(self, token_ids, column, past, chunk):
        """Read one token per row; the chunk's keys and values grow."""
        own = self.transformer
        positions = tf.minimum(past.lengths + column, self.last_position)
        positions += own.offset
        x, turn = own.embed(token_ids, positions), own.rotation(positions)
        keys, values = [], []
        for number, weights in enumerate(own.weights["layers"]):
            memory = past.memory and past.memory.of_layer(number)
            grown = chunk["keys"][number], chunk["values"][number]
            stands = past.of_layer(number)
            x, k, v = step_layer(
                own.kind, weights, x, turn, stands, grown, memory
            )
            keys.append(k)
            values.append(v)
        return own.normalize(x), {"keys": keys, "values": values}

    def close(self, cache, chunk, steps):
        """See `Decoder.close`."""
        join = lambda old, new: tf.concat([old, new], axis=2)  # noqa: E731
        return {
            "lengths": cache["lengths"] + steps,
            "keys": list(map(join, cache["keys"], chunk["keys"])),
            "values": list(map(join, cache["values"], chunk["values"])),
        }

    def keep(self, cache, rows):
        """These rows, and no column that none of them needs."""
        kept = take(cache, rows)
        width = tf.reduce_max(tf.concat([kept["lengths"], [0]], axis=0))
        return _map_columns(lambda x: x[:, :, tf.shape(x)[2] - width :], kept)

    def join(self, one, other):
        """The rows of both, ending in the same column."""
        width = [tf.shape(x["keys"][0])[2] for x in (one, other)]
        widest = tf.maximum(*width)

        def widened(cache, missing):
            pad = [[0, 0], [0, 0], [missing, 0], [0, 0]]
            return _map_columns(lambda x: tf.pad(x, pad), cache)

        return super().join(
            widened(one, widest - width[0]), widened(other, widest - width[1])
        )

    def shapes(self, cache):
        """Columns come and go."""
        return tf.nest.map_structure(
            lambda x: tf.TensorShape(
                [None, x.shape[1], None, x.shape[3]]
                if x.shape.rank == 4
                else [None]
            ),
            cache,
        )


def past_of(cache: dict) -> Past:
    """Keys and values with the mask of each row's own columns."""
    lengths = cache["lengths"]
    width = tf.shape(cache["keys"][0])[2]
    mask = tf.range(width)[None] >= width - lengths[:, None]
    return Past(lengths, mask[:, None, None], cache["keys"], cache["values"])


def by_layer(memory: Past | None) -> list[tuple] | None:
    """What each layer needs of other texts: keys, values and mask."""
    if memory is None:
        return None
    return [memory.of_layer(number) for number in range(len(memory.keys))]


def _map_columns(function, cache):
    return tf.nest.map_structure(
        lambda x: function(x) if x.shape.rank == 4 else x, cache
    )
