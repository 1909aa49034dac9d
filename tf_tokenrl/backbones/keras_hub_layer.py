"""The weights of the Transformer layers that KerasHub's models share."""

import tensorflow as tf

from tf_tokenrl.backbones import linear, norms
from tf_tokenrl.backbones.linear import Weights


def read_layer(layer) -> Weights:
    """The weights by role of a Transformer layer of KerasHub's own."""
    attention = layer._self_attention_layer
    return {
        "attention_norm": norms.of_layer(layer._self_attention_layer_norm),
        "query": linear.of_layer(attention._query_dense),
        "key": linear.of_layer(attention._key_dense),
        "value": linear.of_layer(attention._value_dense),
        "attention_output": linear.of_layer(attention._output_dense, 2),
        "feedforward_norm": norms.of_layer(layer._feedforward_layer_norm),
        "up": linear.of_layer(layer._feedforward_intermediate_dense),
        "down": linear.of_layer(layer._feedforward_output_dense),
    }


def in_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """`[N, heads * size]` -> `[N, heads, size]`."""
    return tf.reshape(x, [-1, heads, x.shape[-1] // heads])
