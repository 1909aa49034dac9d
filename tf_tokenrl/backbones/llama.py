"""Llama: rotary positions, RMSNorm first, gated feed-forward, shared keys."""

import tensorflow as tf

from tf_tokenrl.backbones import kernels


class Llama:
    """Steps through a `keras_hub.models.LlamaBackbone`.

    Args:
        backbone: the backbone.
        weights: what `prepare` gave; by default it is called here.
    """

    def __init__(self, backbone, weights: dict | None = None):
        self.backbone = backbone
        self.weights = weights or self.prepare()

    def prepare(self) -> dict:
        """The weights as every step wants them."""
        layers = self.backbone.transformer_layers
        tokens = self.backbone.token_embedding.embeddings
        return {
            "tokens": tf.convert_to_tensor(tokens),
            "layers": [_prepare(layer) for layer in layers],
        }

    def embed(self, token_ids: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Ids `[N]` -> `[N, H]`; positions enter with the keys."""
        tokens = tf.gather(self.weights["tokens"], token_ids)
        return tf.cast(tokens, self.backbone.compute_dtype)

    def project(self, index: int, x: tf.Tensor, positions: tf.Tensor):
        """Queries, keys and values of a layer, each `[N, heads, size]`."""
        layer = self.backbone.transformer_layers[index]
        rotate = layer._self_attention_layer.rotary_embedding_layer
        queries = layer.num_query_heads
        keys = layer.num_key_value_heads
        x = layer._self_attention_layernorm(x)
        x = kernels.apply(self.weights["layers"][index]["project"], x)
        size = x.shape[-1] // (queries + 2 * keys)
        x = tf.reshape(x, [-1, 1, queries + 2 * keys, size])
        turned = rotate(x[:, :, : queries + keys], positions=positions[:, None])
        query, key = tf.split(turned[:, 0], [queries, keys], axis=1)
        return query, key, x[:, 0, queries + keys :]

    def finish(self, index: int, x: tf.Tensor, attended) -> tf.Tensor:
        """The rest of a layer, after attention `[N, heads * size]`."""
        layer = self.backbone.transformer_layers[index]
        weights = self.weights["layers"][index]
        x = x + kernels.apply(weights["output"], attended)
        y = layer._feedforward_layernorm(x)
        gate, y = tf.split(kernels.apply(weights["widen"], y), 2, axis=-1)
        gate = layer.activation(tf.cast(gate, tf.float32))
        y = y * tf.cast(gate, y.dtype)
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
        "widen": kernels.kernels(
            layer._feedforward_gate_dense, layer._feedforward_intermediate_dense
        ),
        "narrow": kernels.kernels(layer._feedforward_output_dense),
    }
