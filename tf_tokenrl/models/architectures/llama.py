"""Llama: rotary positions, RMSNorm first, gated feed-forward, shared keys."""

import tensorflow as tf


class Llama:
    """Steps through a `keras_hub.models.LlamaBackbone`."""

    def __init__(self, backbone):
        self.backbone = backbone
        self.layers = backbone.transformer_layers

    def embed(self, token_ids: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """`[B, L]` ids -> `[B, L, H]`; positions enter with the keys."""
        return self.backbone.token_embedding(token_ids)

    def project(self, layer, x: tf.Tensor, positions: tf.Tensor):
        """Queries, keys and values, each `[B, L, heads, size]`."""
        attention = layer._self_attention_layer
        rotate = attention.rotary_embedding_layer
        x = layer._self_attention_layernorm(x)
        return (
            rotate(attention._query_dense(x), positions=positions),
            rotate(attention._key_dense(x), positions=positions),
            attention._value_dense(x),
        )

    def finish(self, layer, x: tf.Tensor, attended: tf.Tensor) -> tf.Tensor:
        """The rest of the layer, after attention `[B, L, heads, size]`."""
        x = x + layer._self_attention_layer._output_dense(attended)
        y = layer._feedforward_layernorm(x)
        gate = tf.cast(layer._feedforward_gate_dense(y), tf.float32)
        gate = tf.cast(layer.activation(gate), y.dtype)
        y = layer._feedforward_intermediate_dense(y) * gate
        return x + layer._feedforward_output_dense(y)

    def normalize(self, x: tf.Tensor) -> tf.Tensor:
        """The backbone's last normalisation."""
        return self.backbone.layer_norm(x)
