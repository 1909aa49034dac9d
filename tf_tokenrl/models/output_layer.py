"""Last layers by parts: logits of some of the vocabulary at a time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf


class OutputLayer(NamedTuple):
    """What makes logits of states.

    Attributes:
        weights: tensors `[V, ...]`, one row for each entry.
        logits: `(states [N, H], rows of the weights) -> float32 [N, rows]`,
            before temperature.
    """

    weights: list[tf.Tensor]
    logits: Callable[[tf.Tensor, Sequence[tf.Tensor]], tf.Tensor]


def of_embedding(layer: keras.layers.ReversibleEmbedding) -> OutputLayer:
    """That of an embedding which also gives the logits."""
    dtype = layer.reverse_dtype or layer.compute_dtype
    if layer.tie_weights:
        kernel = tf.convert_to_tensor(layer.embeddings)
    else:
        kernel = tf.transpose(tf.convert_to_tensor(layer.reverse_embeddings))

    def logits(states, rows):
        states, rows = tf.cast(states, dtype), tf.cast(rows[0], dtype)
        found = tf.matmul(states, rows, transpose_b=True)
        if layer.logit_soft_cap is not None:
            found = tf.tanh(found / layer.logit_soft_cap) * layer.logit_soft_cap
        return tf.cast(found, tf.float32)

    return OutputLayer([kernel], logits)


def of_dense(layer: keras.layers.Dense) -> OutputLayer:
    """That of a dense layer without activation."""

    def logits(states, rows):
        states = tf.cast(states, layer.compute_dtype)
        kernel, *bias = (tf.cast(x, layer.compute_dtype) for x in rows)
        found = tf.matmul(states, kernel, transpose_b=True)
        return tf.cast(sum(bias, found), tf.float32)

    weights = [tf.transpose(tf.convert_to_tensor(layer.kernel))]
    if layer.use_bias:
        weights.append(tf.convert_to_tensor(layer.bias))
    return OutputLayer(weights, logits)
