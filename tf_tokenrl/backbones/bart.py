"""BART's decoder: learned positions, LayerNorm last, a look at the prompt."""

import tensorflow as tf

from tf_tokenrl.backbones import kernels


class Bart:
    """Steps through the decoder of a `keras_hub.models.BartBackbone`.

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
                backbone.decoder_position_embedding.position_embeddings
            ),
            "layers": [
                _prepare(x) for x in backbone.decoder_transformer_layers
            ],
        }

    def embed(self, token_ids: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Ids `[N]` at positions `[N]` -> `[N, H]`."""
        dtype = self.backbone.compute_dtype
        tokens = tf.gather(self.weights["tokens"], token_ids)
        places = tf.gather(self.weights["positions"], positions)
        x = tf.cast(tokens, dtype) + tf.cast(places, dtype)
        return self.backbone.decoder_embeddings_layer_norm(x)

    def remember(self, index: int, states: tf.Tensor):
        """Keys and values of the encoder's states: `[B, P, heads, size]`."""
        layer = self.backbone.decoder_transformer_layers[index]
        attention = layer._cross_attention_layer
        return attention._key_dense(states), attention._value_dense(states)

    def project(self, index: int, x: tf.Tensor, positions: tf.Tensor):
        """Queries, keys and values of a layer, each `[N, heads, size]`."""
        x = kernels.apply(self.weights["layers"][index]["project"], x)
        return [self._heads(part) for part in tf.split(x, 3, axis=-1)]

    def ask(self, index: int, x: tf.Tensor, attended: tf.Tensor):
        """After the answer's attention `[N, heads * size]`, of the prompt.

        Returns:
            The layer's state `[N, H]`, and queries `[N, heads, size]`.
        """
        layer = self.backbone.decoder_transformer_layers[index]
        weights = self.weights["layers"][index]
        x = x + kernels.apply(weights["output"], attended)
        x = layer._self_attention_layer_norm(x)
        return x, self._heads(kernels.apply(weights["ask"], x))

    def finish(self, index: int, x: tf.Tensor, attended) -> tf.Tensor:
        """The rest of a layer, after the prompt's attention."""
        layer = self.backbone.decoder_transformer_layers[index]
        weights = self.weights["layers"][index]
        x = x + kernels.apply(weights["answer"], attended)
        x = layer._cross_attention_layer_norm(x)
        y = layer.activation(kernels.apply(weights["widen"], x))
        y = x + kernels.apply(weights["narrow"], y)
        return layer._feedforward_layer_norm(y)

    def normalize(self, x: tf.Tensor) -> tf.Tensor:
        """The last layer has normalised already."""
        return x

    def _heads(self, x: tf.Tensor) -> tf.Tensor:
        size = self.backbone.hidden_dim // self.backbone.num_heads
        return tf.reshape(x, [-1, self.backbone.num_heads, size])


def _prepare(layer) -> dict:
    attention = layer._self_attention_layer
    crossed = layer._cross_attention_layer
    return {
        "project": kernels.kernels(
            attention._query_dense, attention._key_dense, attention._value_dense
        ),
        "output": kernels.kernels(attention._output_dense, inputs=2),
        "ask": kernels.kernels(crossed._query_dense),
        "answer": kernels.kernels(crossed._output_dense, inputs=2),
        "widen": kernels.kernels(layer._feedforward_intermediate_dense),
        "narrow": kernels.kernels(layer._feedforward_output_dense),
    }
