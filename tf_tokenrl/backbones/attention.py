"""Attention over tokens that lie one behind the other, or in parts."""

import tensorflow as tf


class Places:
    """Where the tokens of prompts stand: one behind the other, or `[B, P]`.

    Args:
        lengths: int32 `[B]`.
        width: P, the greatest of them; prompts end in the last column.
    """

    def __init__(self, lengths, width):
        columns = tf.range(width)
        self.of_tokens = tf.cast(
            tf.where(columns[None] < lengths[:, None]), tf.int32
        )
        before = tf.cumsum(lengths, exclusive=True)
        index = columns[None] - (width - lengths)[:, None]
        present = index >= 0
        index = tf.maximum(index, 0) + before[:, None]
        self._index = tf.minimum(index, tf.reduce_sum(lengths) - 1)
        self._shift = tf.gather(width - lengths, self.of_tokens[:, 0])
        self.present = present[:, None, None]  # bool [B, 1, 1, P]

    def causal(self, query: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """The mask of `attend` where each token sees itself and those before.

        Args:
            query: `[B, heads, P, size]`.
            keys: `[B, key heads, P, size]`.
        """
        columns = tf.range(tf.shape(query)[2])
        before = columns[:, None] >= columns[None]
        mask = before[None, None] & self.present
        return tf.tile(mask, [1, 1, query.shape[1] // keys.shape[1], 1])

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
    rows, length = tf.shape(query)[0], query.shape[2] or tf.shape(query)[2]
    heads, size = query.shape[1], query.shape[3]
    key_heads = parts[0][0].shape[1]
    query *= tf.cast(size, query.dtype) ** -0.5
    grouped = [rows, key_heads, heads // key_heads * length, size]
    query = tf.reshape(query, grouped)
    scores = []
    for keys, _, mask in parts:
        score = tf.cast(_product(query, keys, adj_y=True), tf.float32)
        # Not -inf: a column of padding sees nothing, and must not become NaN.
        scores.append(score if mask is None else tf.where(mask, score, -1e30))
    weights = tf.cast(tf.nn.softmax(tf.concat(scores, axis=-1)), query.dtype)
    weights = tf.split(weights, [tf.shape(s)[-1] for s in scores], axis=-1)
    attended = [
        _product(w, part[1]) for w, part in zip(weights, parts, strict=True)
    ]
    return tf.reshape(tf.add_n(attended), [rows, heads, length, size])


def _product(x: tf.Tensor, y: tf.Tensor, adj_y: bool = False) -> tf.Tensor:
    """`x @ y` of the last two axes.

    TensorFlow gives `tf.matmul` to oneDNN, which takes up to four times as
    long as Eigen for many products of a single row in float32.
    """
    if x.shape[2] == 1 and x.dtype == tf.float32:
        return tf.raw_ops.BatchMatMulV3(x=x, y=y, adj_y=adj_y, Tout=x.dtype)
    return tf.matmul(x, y, transpose_b=adj_y)
