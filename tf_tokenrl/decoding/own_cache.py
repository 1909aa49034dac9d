"""Decoding a transformer with a key-value cache in two parts.

All that is older than the current chunk stands still while a chunk is
decoded; only the keys and values of the chunk grow. A step so costs what it
reads, and copies at most one chunk. No XLA op is used, so the loop runs in a
stock TensorFlow Serving.

Rows end in the same column. A row that is shorter than others, or was let in
later, has columns in front that are none of its own; they are masked.
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from tf_tokenrl.backbones import kernels, packing
from tf_tokenrl.backbones.attention import Places, attend
from tf_tokenrl.decoding.loop import Decoder, Prefill, take


class Past(NamedTuple):
    """What stands still: each row's own columns are the last `lengths`."""

    lengths: tf.Tensor  # int32 [B]
    mask: tf.Tensor  # bool [B, 1, 1, C]
    keys: list[tf.Tensor]  # of each layer, [B, key heads, C, size]
    values: list[tf.Tensor]
    memory: "Past | None" = None  # the same of another text


def in_panels(architecture) -> list[dict[str, list[tf.Tensor]]]:
    """The kernels of each layer as steps want them."""
    return [
        {name: kernels.in_panels(kept) for name, kept in layer.items()}
        for layer in architecture.weights["layers"]
    ]


class CachedAttentionDecoder(Decoder):
    """The decoder of a policy whose architecture is known.

    Args:
        policy: its own.
        architecture: that of its backbone.
        prepared: what `in_panels` and `products.Output` prepared, if they
            have done so already.
    """

    def __init__(self, policy, architecture, prepared: tuple | None = None):
        super().__init__(policy)
        embedding = policy.backbone.token_embedding
        layers, output = prepared or (in_panels(architecture), None)
        architecture.weights["layers"] = layers
        self.architecture = architecture
        self.logits = kernels.Output(embedding, output)
        self.layers = range(policy.backbone.num_layers)
        self.last_position = policy.max_prompt_tokens + policy.max_new_tokens
        self.last_position -= 1

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """See `Decoder.prefill`."""
        return self.read(prompt_ids, lengths)

    def read(self, ids, lengths, memory: "Past | None" = None) -> Prefill:
        """Read texts, from their first token to their last.

        Args:
            ids: int32 `[B, L]`, padded on the right.
            lengths: int32 `[B]`.
            memory: other texts that `finish` looks at.
        """
        place = Places(lengths, tf.shape(ids)[1])
        finish = functools.partial(self.finish, place=place, memory=memory)
        x, keys, values = packing.read(self.architecture, ids, place, finish)
        last = tf.gather(x, tf.cumsum(lengths) - 1)
        cache = {"lengths": lengths, "keys": keys, "values": values}
        return Prefill(self.architecture.normalize(last), cache)

    def open(self, cache):
        """See `Decoder.open`."""
        empty = [x[:, :, :0] for x in cache["keys"]]
        return past_of(cache), {"keys": empty, "values": list(empty)}

    def step(self, token_ids, column, past, chunk):
        """Read one token per row; the chunk's keys and values grow."""
        positions = tf.minimum(past.lengths + column, self.last_position)
        x = self.architecture.embed(token_ids, positions)
        place = _OnePerRow()
        keys, values = [], []
        for layer in self.layers:
            q, k, v = self.architecture.project(layer, x, positions)
            keys.append(tf.concat([chunk["keys"][layer], k[:, :, None]], 2))
            values.append(tf.concat([chunk["values"][layer], v[:, :, None]], 2))
            parts = [
                (past.keys[layer], past.values[layer], past.mask),
                (keys[-1], values[-1], None),
            ]
            attended = place.pack(attend(place.spread(q), parts))
            x = self.finish(layer, x, attended, place, past.memory)
        hidden = self.architecture.normalize(x)
        return hidden, {"keys": keys, "values": values}

    def finish(self, layer, x, attended, place, memory):
        """The rest of a layer, after attention `[N, heads * size]`."""
        return self.architecture.finish(layer, x, attended)

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


class _OnePerRow:
    """The same as `Places`, for one token of each row."""

    def spread(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, heads, size]` -> `[B, heads, 1, size]`."""
        return x[:, :, None]

    def pack(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, heads, 1, size]` -> `[B, heads * size]`."""
        return tf.reshape(x, [-1, x.shape[1] * x.shape[3]])


def _map_columns(function, cache):
    return tf.nest.map_structure(
        lambda x: function(x) if x.shape.rank == 4 else x, cache
    )
