"""Decoding a transformer with a key-value cache in two parts.

All that is older than the current chunk stands still while a chunk is
decoded; only the keys and values of the chunk grow. A step so costs what it
reads, and copies at most one chunk. No XLA op is used, so the loop runs in a
stock TensorFlow Serving.

Rows end in the same column. A row that is shorter than others, or was let in
later, has columns in front that are none of its own; they are masked.
"""

from typing import NamedTuple

import tensorflow as tf

from tf_tokenrl.models import products
from tf_tokenrl.models.decoding import Decoder, Prefill, take


class _Past(NamedTuple):
    """What stands still: each row's own columns are the last `lengths`."""

    lengths: tf.Tensor  # int32 [B]
    mask: tf.Tensor  # bool [B, 1, 1, C]
    keys: list[tf.Tensor]  # of each layer, [B, key heads, C, size]
    values: list[tf.Tensor]


class CachedAttentionDecoder(Decoder):
    """The decoder of a policy whose architecture is known."""

    def __init__(self, policy, architecture):
        super().__init__(policy)
        self.architecture = architecture
        self.logits = products.Output(policy.backbone.token_embedding)
        self.layers = range(policy.backbone.num_layers)
        self.last_position = policy.max_prompt_tokens + policy.max_new_tokens
        self.last_position -= 1

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read all prompts in one causal pass.

        Products see the prompts' own tokens alone, one behind the other, so
        that padding costs next to nothing.
        """
        rows, width = tf.unstack(tf.shape(prompt_ids))
        place = _Places(lengths, width)
        ids = tf.gather_nd(prompt_ids, place.of_tokens)
        positions = place.of_tokens[:, 1]
        x = self.architecture.embed(ids, positions)
        cache = {"lengths": lengths, "keys": [], "values": []}
        for layer in self.layers:
            q, k, v = self.architecture.project(layer, x, positions)
            group = q.shape[1] // k.shape[1]
            mask = tf.tile(place.mask, [1, 1, group, 1])
            k, v = place.spread(k), place.spread(v)
            cache["keys"].append(k)
            cache["values"].append(v)
            attended = attend(place.spread(q), [(k, v, mask)])
            x = self.architecture.finish(layer, x, place.pack(attended))
        last = tf.gather(x, tf.cumsum(lengths) - 1)
        return Prefill(self.architecture.normalize(last), cache)

    def open(self, cache):
        """See `Decoder.open`."""
        lengths = cache["lengths"]
        width = tf.shape(cache["keys"][0])[2]
        mask = tf.range(width)[None] >= width - lengths[:, None]
        past = _Past(
            lengths, mask[:, None, None], cache["keys"], cache["values"]
        )
        empty = [x[:, :, :0] for x in cache["keys"]]
        return past, {"keys": empty, "values": list(empty)}

    def step(self, token_ids, column, past, chunk):
        """Read one token per row; the chunk's keys and values grow."""
        positions = tf.minimum(past.lengths + column, self.last_position)
        x = self.architecture.embed(token_ids, positions)
        keys, values = [], []
        for layer in self.layers:
            q, k, v = self.architecture.project(layer, x, positions)
            keys.append(tf.concat([chunk["keys"][layer], k[:, :, None]], 2))
            values.append(tf.concat([chunk["values"][layer], v[:, :, None]], 2))
            parts = [
                (past.keys[layer], past.values[layer], past.mask),
                (keys[-1], values[-1], None),
            ]
            attended = attend(q[:, :, None], parts)[:, :, 0]
            width = attended.shape[1] * attended.shape[2]
            attended = tf.reshape(attended, [-1, width])
            x = self.architecture.finish(layer, x, attended)
        hidden = self.architecture.normalize(x)
        return hidden, {"keys": keys, "values": values}

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


class _Places:
    """Where the tokens of prompts stand: one behind the other, or `[B, P]`.

    Args:
        lengths: int32 `[B]`.
        width: P; prompts end in the last column.
    """

    def __init__(self, lengths, width):
        columns = tf.range(width)
        self.of_tokens = tf.cast(
            tf.where(columns[None] < lengths[:, None]), tf.int32
        )
        before = tf.cumsum(lengths, exclusive=True)
        index = columns[None] - (width - lengths)[:, None]
        present = index >= 0
        self._index = tf.maximum(index, 0) + before[:, None]
        self._shift = tf.gather(width - lengths, self.of_tokens[:, 0])
        causal = columns[:, None] >= columns[None]
        self.mask = causal[None, None] & present[:, None, None]

    def spread(self, x: tf.Tensor) -> tf.Tensor:
        """`[N, heads, size]` -> `[B, heads, P, size]`."""
        return tf.transpose(tf.gather(x, self._index), [0, 2, 1, 3])

    def pack(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, heads, P, size]` -> `[N, heads * size]`."""
        row, column = tf.unstack(self.of_tokens, axis=1)
        place = tf.stack([row, column + self._shift], axis=1)
        width = x.shape[1] * x.shape[3]
        x = tf.gather_nd(tf.transpose(x, [0, 2, 1, 3]), place)
        return tf.reshape(x, [-1, width])


def attend(query: tf.Tensor, parts: list) -> tf.Tensor:
    """Softmax attention of `query` over several stretches of keys.

    Args:
        query: `[B, heads, L, size]`.
        parts: `(keys, values, mask)`, keys and values `[B, key heads, C,
            size]`. Each group of heads / key heads queries shares its keys;
            the mask is broadcastable to `[B, key heads, group * L, C]`, or
            None.

    Returns:
        `[B, heads, L, size]`.
    """
    rows, length = tf.shape(query)[0], tf.shape(query)[2]
    heads, size = query.shape[1], query.shape[3]
    key_heads = parts[0][0].shape[1]
    query *= tf.cast(size, query.dtype) ** -0.5
    grouped = [rows, key_heads, heads // key_heads * length, size]
    query = tf.reshape(query, grouped)
    scores = []
    for keys, _, mask in parts:
        score = tf.cast(tf.matmul(query, keys, transpose_b=True), tf.float32)
        # Not -inf: a column of padding sees nothing, and must not become NaN.
        scores.append(score if mask is None else tf.where(mask, score, -1e30))
    weights = tf.cast(tf.nn.softmax(tf.concat(scores, axis=-1)), query.dtype)
    weights = tf.split(weights, [tf.shape(s)[-1] for s in scores], axis=-1)
    attended = [
        tf.matmul(w, part[1]) for w, part in zip(weights, parts, strict=True)
    ]
    return tf.reshape(tf.add_n(attended), [rows, heads, length, size])


def _map_columns(function, cache):
    return tf.nest.map_structure(
        lambda x: function(x) if x.shape.rank == 4 else x, cache
    )
