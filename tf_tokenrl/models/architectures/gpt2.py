"""GPT-2: learned positions, LayerNorm first, one head of keys per query."""

import tensorflow as tf


class Gpt2:
    """Steps through a `keras_hub.models.GPT2Backbone`."""

    def __init__(self, backbone):
        self.backbone = backbone
        self.layers = backbone.transformer_layers

    def embed(self, token_ids: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """`[B, L]` ids at `[B, L]` positions -> `[B, L, H]`."""
        tokens = self.backbone.token_embedding(token_ids)
        places = self.backbone.position_embedding(tokens, positions=positions)
        return tokens + places

    def project(self, layer, x: tf.Tensor, positions: tf.Tensor):
        """Queries, keys and values, each `[B, L, heads, size]`."""
        attention = layer._self_attention_layer
        x = layer._self_attention_layer_norm(x)
        return (
            attention._query_dense(x),
            attention._key_dense(x),
            attention._value_dense(x),
        )

    def finish(self, layer, x: tf.Tensor, attended: tf.Tensor) -> tf.Tensor:
        """The rest of the layer, after attention `[B, L, heads, size]`."""
        x = x + layer._self_attention_layer._output_dense(attended)
        y = layer._feedforward_layer_norm(x)
        y = layer._feedforward_intermediate_dense(y)
        return x + layer._feedforward_output_dense(y)

    def normalize(self, x: tf.Tensor) -> tf.Tensor:
        """The backbone's last normalisation."""
        return self.backbone.layer_norm(x)
