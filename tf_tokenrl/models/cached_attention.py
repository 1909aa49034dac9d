"""Decoding a transformer with a key-value cache in two parts.

The keys and values of the prompt are computed once and never copied again;
only those of the answer grow. Prompts of any length start their answers in
the same column, each row at its own position, so no row waits for another.
No XLA op is used, so the loop runs in a stock TensorFlow Serving.
"""

import tensorflow as tf

from tf_tokenrl.models.decoding import Prefill


class CachedAttentionDecoder:
    """The decoder of a policy whose architecture is known."""

    def __init__(self, policy, architecture):
        self.policy = policy
        self.architecture = architecture
        self.logits = policy.logits
        self.values = policy.state_values

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read all prompts in one causal pass."""
        rows, width = tf.unstack(tf.shape(prompt_ids))
        columns = tf.range(width)
        positions = tf.broadcast_to(columns[None], [rows, width])
        causal = (columns[:, None] >= columns[None])[None, None]
        x = self.architecture.embed(prompt_ids, positions)
        prompt, answer = [], []
        for layer in self.architecture.layers:
            q, k, v = self.architecture.project(layer, x, positions)
            k, v = _by_head(k), _by_head(v)
            attended = _attend(q, [(k, v, causal)])
            x = self.architecture.finish(layer, x, attended)
            prompt.append((k, v))
            answer.append((k[:, :, :0], v[:, :, :0]))
        x = self.architecture.normalize(x)
        hidden = tf.gather(x, lengths - 1, batch_dims=1)
        self._prompt = prompt
        self._prompt_mask = (columns[None] < lengths[:, None])[:, None, None]
        nothing = tf.zeros([rows, 0], tf.int32)
        return Prefill(hidden, answer, nothing, tf.zeros([rows], tf.int32))

    def step(self, token_ids, column, lengths, cache):
        """Read one token per row; the answer's part of the cache grows."""
        positions = (lengths + column)[:, None]
        x = self.architecture.embed(token_ids[:, None], positions)
        grown = []
        for layer, prompt, (keys, values) in zip(
            self.architecture.layers, self._prompt, cache, strict=True
        ):
            q, k, v = self.architecture.project(layer, x, positions)
            keys = tf.concat([keys, _by_head(k)], axis=2)
            values = tf.concat([values, _by_head(v)], axis=2)
            parts = [(*prompt, self._prompt_mask), (keys, values, None)]
            x = self.architecture.finish(layer, x, _attend(q, parts))
            grown.append((keys, values))
        x = self.architecture.normalize(x)
        return x[:, 0], grown

    def cache_shapes(self, cache):
        """All but the number of columns stays the same."""
        return tf.nest.map_structure(
            lambda part: tf.TensorShape(
                [None, part.shape[1], None, part.shape[3]]
            ),
            cache,
        )


def _by_head(x: tf.Tensor) -> tf.Tensor:
    """`[B, L, heads, size]` -> `[B, heads, L, size]`."""
    return tf.transpose(x, [0, 2, 1, 3])


def _attend(query: tf.Tensor, parts: list) -> tf.Tensor:
    """Softmax attention of `query` over several stretches of keys.

    Args:
        query: `[B, L, heads, size]`.
        parts: `(keys, values, mask)`, keys and values `[B, key heads, C,
            size]`, mask broadcastable to `[B, heads, L, C]` or None. Each
            group of heads / key heads queries shares its keys.

    Returns:
        `[B, L, heads, size]`.
    """
    rows, length = tf.unstack(tf.shape(query)[:2])
    heads, size = query.shape[2], query.shape[3]
    key_heads = parts[0][0].shape[1]
    group = heads // key_heads
    query = tf.reshape(_by_head(query), [rows, key_heads, -1, size])
    query *= tf.cast(size, query.dtype) ** -0.5
    scores = []
    for keys, _, mask in parts:
        score = tf.cast(tf.matmul(query, keys, transpose_b=True), tf.float32)
        if mask is not None:
            shape = [rows, key_heads, group, length, -1]
            score = tf.reshape(score, shape)
            score = tf.where(mask[:, :, None], score, float("-inf"))
            score = tf.reshape(score, [rows, key_heads, group * length, -1])
        scores.append(score)
    weights = tf.cast(tf.nn.softmax(tf.concat(scores, axis=-1)), query.dtype)
    weights = tf.split(weights, [tf.shape(s)[-1] for s in scores], axis=-1)
    attended = tf.add_n(
        [tf.matmul(w, part[1]) for w, part in zip(weights, parts, strict=True)]
    )
    attended = tf.reshape(attended, [rows, heads, length, size])
    return tf.transpose(attended, [0, 2, 1, 3])
