"""GPT-2: learned positions, LayerNorm first, one head of keys per query."""

import tensorflow as tf

from tf_tokenrl.backbones import kernels


class Gpt2:
    """Steps through a `keras_hub.models.GPT2Backbone`.

    Args:
        backbone: the backbone.
        weights: what `prepare` gave; by default it is called here.
    """

    def __init__(self, backbone, weights: dict | None = None):
        self.backbone = backbone
        self.weights = weights or self.prepare()

    def prepare(self) -> dict:
        """The weights as every step wants them."""
        backbone = self.backbone
        return {
            "tokens": tf.convert_to_tensor(backbone.token_embedding.embeddings),
            "positions": tf.convert_to_tensor(
                backbone.position_embedding.position_embeddings
            ),
            "layers": [_prepare(x) for x in backbone.transformer_layers],
        }

    def embed(self, token_ids: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Ids `[N]` at positions `[N]` -> `[N, H]`."""
        dtype = self.backbone.compute_dtype
        tokens = tf.gather(self.weights["tokens"], token_ids)
        places = tf.gather(self.weights["positions"], positions)
        return tf.cast(tokens, dtype) + tf.cast(places, dtype)

    def project(self, index: int, x: tf.Tensor, positions: tf.Tensor):
        """Queries, keys and values of a layer, each `[N, heads, size]`."""
        layer = self.backbone.transformer_layers[index]
        x = layer._self_attention_layer_norm(x)
        x = kernels.apply(self.weights["layers"][index]["project"], x)
        size = self.backbone.hidden_dim // self.backbone.num_heads
        return [
            tf.reshape(part, [-1, self.backbone.num_heads, size])
            for part in tf.split(x, 3, axis=-1)
        ]

    def finish(self, index: int, x: tf.Tensor, attended) -> tf.Tensor:
        """The rest of a layer, after attention `[N, heads * size]`."""
        layer = self.backbone.transformer_layers[index]
        weights = self.weights["layers"][index]
        x = x + kernels.apply(weights["output"], attended)
        y = layer._feedforward_layer_norm(x)
        activation = layer._feedforward_intermediate_dense.activation
        y = activation(kernels.apply(weights["widen"], y))
        return x + kernels.apply(weights["narrow"], y)

    def normalize(self, x: tf.Tensor) -> tf.Tensor:
        """The backbone's last normalisation."""
        return self.backbone.layer_norm(x)


def _prepare(layer) -> dict:
    attention = layer._self_attention_layer
    return {
        "project": kernels.kernels(
            attention._query_dense, attention._key_dense, attention._value_dense
        ),
        "output": kernels.kernels(attention._output_dense, inputs=2),
        "widen": kernels.kernels(layer._feedforward_intermediate_dense),
        "narrow": kernels.kernels(layer._feedforward_output_dense),
    }
