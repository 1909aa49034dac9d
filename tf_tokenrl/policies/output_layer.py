"""Last layers by parts: logits of some of the vocabulary at a time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_tokenrl.decoding.sampling import mix_uniform
from tf_tokenrl.flow import Tensor
from tf_tokenrl.ops import categorical
from tf_tokenrl.ops.streamed import Head


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


def head(
    policy,
    states: tf.Tensor,
    temperature: Tensor,
    uniform: Tensor | None = None,
) -> Head:
    """What turns a policy's states `[N, H]` into its distributions.

    Args:
        policy: with `logits`, and better with `output_layer` too.
        states: of the positions where an action is chosen.
        temperature: of the distributions.
        uniform: share of the uniform distribution mixed in, or None. The
            mixture is made of whole distributions.
    """
    if uniform is not None or not hasattr(policy, "output_layer"):
        logits = tf.cast(policy.logits(states), tf.float32) / temperature
        if uniform is not None:
            size = tf.shape(logits)[-1]
            logits = mix_uniform(tf.nn.log_softmax(logits), uniform, size)
        return categorical.of_logits(logits)
    weights, logits_of = policy.output_layer()

    if isinstance(temperature, float) and temperature == 1.0:
        return Head(states, weights, logits_of)
    return Head(states, weights, lambda *x: logits_of(*x) / temperature)
