"""Attention over tokens that lie one behind the other, or in parts."""

from typing import NamedTuple

import tensorflow as tf


class Places(NamedTuple):
    """Where the tokens of texts stand: one behind the other, or `[B, P]`.

    Texts end in the last of the P columns.
    """

    of_tokens: tf.Tensor  # int32 [N, 2], row and place in the text
    index: tf.Tensor  # int32 [B, P], which token stands in a column
    shift: tf.Tensor  # int32 [N], columns in front of the token's text
    present: tf.Tensor  # bool [B, 1, 1, P]

    @classmethod
    def of(cls, lengths: tf.Tensor, width: tf.Tensor) -> "Places":
        """Those of texts of some lengths, int32 `[B]`, at most `width`."""
        columns = tf.range(width)
        inside = columns[None] < lengths[:, None]
        of_tokens = tf.cast(tf.where(inside), tf.int32)
        before = tf.cumsum(lengths, exclusive=True)
        index = columns[None] - (width - lengths)[:, None]
        present = index >= 0
        index = tf.maximum(index, 0) + before[:, None]
        index = tf.minimum(index, tf.reduce_sum(lengths) - 1)
        shift = tf.gather(width - lengths, of_tokens[:, 0])
        return cls(of_tokens, index, shift, present[:, None, None])

    @property
    def positions(self) -> tf.Tensor:
        """int32 `[N]`, the place of each token in its text."""
        return self.of_tokens[:, 1]

    def causal(self, group: int) -> tf.Tensor:
        """The mask of `attend` where tokens see themselves and those before.

        Args:
            group: queries that share a key.
        """
        return _causal(tf.shape(self.index)[1], group, self.present)

    def take(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[B, L]`, padded on the right -> `[N]`."""
        return tf.gather_nd(ids, self.of_tokens)

    def spread(self, x: tf.Tensor) -> tf.Tensor:
        """`[N, heads, size]` -> `[B, heads, P, size]`."""
        return tf.transpose(tf.gather(x, self.index), [0, 2, 1, 3])

    def pack(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, heads, P, size]` -> `[N, heads * size]`."""
        row, column = tf.unstack(self.of_tokens, 2, axis=1)
        place = tf.stack([row, column + self.shift], axis=1)
        width = x.shape[1] * x.shape[3]
        x = tf.gather_nd(tf.transpose(x, [0, 2, 1, 3]), place)
        return tf.reshape(x, [-1, width])


class Grid(NamedTuple):
    """The same where every text fills all columns: nothing is looked up.

    Attributes:
        shape: int32 `[2]`, B and P.
    """

    shape: tf.Tensor

    @property
    def positions(self) -> tf.Tensor:
        """int32 `[N]`, the place of each token in its text."""
        return tf.tile(tf.range(self.shape[1]), self.shape[:1])

    def causal(self, group: int) -> tf.Tensor:
        """See `Places.causal`."""
        return _causal(self.shape[1], group)

    def take(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[B, P]` -> `[N]`."""
        return tf.reshape(ids, [-1])

    def spread(self, x: tf.Tensor) -> tf.Tensor:
        """`[N, heads, size]` -> `[B, heads, P, size]`."""
        x = tf.reshape(x, [self.shape[0], self.shape[1], *x.shape[1:]])
        return tf.transpose(x, [0, 2, 1, 3])

    def pack(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, heads, P, size]` -> `[N, heads * size]`."""
        width = x.shape[1] * x.shape[3]
        return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [-1, width])


class OnePerRow:
    """The same for one token of each row."""

    def spread(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, heads, size]` -> `[B, heads, 1, size]`."""
        return x[:, :, None]

    def pack(self, x: tf.Tensor) -> tf.Tensor:
        """`[B, heads, 1, size]` -> `[B, heads * size]`."""
        return tf.reshape(x, [-1, x.shape[1] * x.shape[3]])


def _causal(width: tf.Tensor, group: int, present: tf.Tensor | bool = True):
    columns = tf.range(width)
    before = columns[:, None] >= columns[None]
    return tf.tile(before[None, None] & present, [1, 1, group, 1])


def attend(query: tf.Tensor, parts: list) -> tf.Tensor:
    """Softmax attention of `query` over several stretches of keys.

    Args:
        query: `[B, heads, L, size]`.
        parts: `(keys, values, mask)`, keys and values `[B, key heads, C,
            size]`, where B may be 1: these are everybody's. Each group of
            heads / key heads queries shares its keys; the mask is
            broadcastable to `[B, key heads, group * L, C]`, or
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
