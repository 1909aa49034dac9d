"""BART's decoder: learned positions, LayerNorm last, a look at the prompt."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import tensorflow as tf

from tf_tokenrl.backbones import linear, norms
from tf_tokenrl.backbones.encoder import Encoder
from tf_tokenrl.backbones.keras_hub_layer import in_heads, read_layer
from tf_tokenrl.backbones.linear import Groups, Weights


@dataclasses.dataclass(frozen=True)
class Bart:
    """The functions of a `keras_hub.models.BartBackbone`'s decoder.

    Attributes:
        encoder: those of its encoder, whose weights are `weights["encoder"]`.
    """

    heads: int
    epsilon: float
    embedding_epsilon: float
    activation: Callable
    dtype: str
    encoder: Encoder

    groups: ClassVar[Groups] = (
        ("query", "key", "value"),
        ("attention_output",),
        ("cross_query",),
        ("cross_output",),
        ("up",),
        ("down",),
    )
    causal: ClassVar[bool] = True
    crosses: ClassVar[bool] = True

    @classmethod
    def of(cls, backbone) -> "Bart":
        """That of a backbone."""
        layer = backbone.decoder_transformer_layers[0]
        return cls(
            backbone.num_heads,
            layer.layer_norm_epsilon,
            backbone.decoder_embeddings_layer_norm.epsilon,
            layer.activation,
            backbone.compute_dtype,
            Encoder.of(
                backbone,
                backbone.encoder_transformer_layers,
                backbone.encoder_embeddings_layer_norm,
            ),
        )

    def read(self, backbone) -> dict:
        """Where the weights of a backbone live, by role."""
        reading = backbone.encoder_transformer_layers
        writing = backbone.decoder_transformer_layers
        return {
            **self.ends(backbone),
            **_before_layers(backbone, "decoder"),
            "layers": [_read_layer(layer) for layer in writing],
            "encoder": {
                **_before_layers(backbone, "encoder"),
                "layers": [read_layer(layer) for layer in reading],
            },
        }

    def ends(self, backbone) -> dict:
        """Those that encoder and decoder share: embedding and logits."""
        return linear.of_embedding(backbone.token_embedding)

    def embed(self, weights: dict, ids: tf.Tensor, positions: tf.Tensor):
        """Ids `[N]` at positions `[N]` -> `[N, H]`."""
        x = linear.embed(weights, ids, positions, self.dtype)
        epsilon = self.embedding_epsilon
        return norms.layer_norm(weights["embedding_norm"], x, epsilon)

    def remember(self, weights: Weights, states: tf.Tensor):
        """Keys and values `[N, heads, size]` of the encoder's states."""
        both = linear.apply(weights, states, "cross_key", "cross_value")
        return [in_heads(part, self.heads) for part in tf.split(both, 2, -1)]

    def project(self, weights: Weights, x: tf.Tensor, turn):
        """Queries, keys and values of a layer, each `[N, heads, size]`."""
        x = linear.apply(weights, x, "query", "key", "value")
        return [in_heads(part, self.heads) for part in tf.split(x, 3, axis=-1)]

    def ask(self, weights: Weights, x: tf.Tensor, attended: tf.Tensor):
        """After the answer's attention `[N, heads * size]`, of the prompt.

        Returns:
            The layer's state `[N, H]`, and queries `[N, heads, size]`.
        """
        x = x + linear.apply(weights, attended, "attention_output")
        x = norms.layer_norm(weights["attention_norm"], x, self.epsilon)
        query = linear.apply(weights, x, "cross_query")
        return x, in_heads(query, self.heads)

    def finish(self, weights: Weights, x: tf.Tensor, attended: tf.Tensor):
        """The rest of a layer, after the prompt's attention."""
        x = x + linear.apply(weights, attended, "cross_output")
        x = norms.layer_norm(weights["cross_norm"], x, self.epsilon)
        y = self.activation(linear.apply(weights, x, "up"))
        y = x + linear.apply(weights, y, "down")
        return norms.layer_norm(weights["feedforward_norm"], y, self.epsilon)

    def normalize(self, weights: dict, x: tf.Tensor) -> tf.Tensor:
        """The last layer has normalised already."""
        return x


def _before_layers(backbone, side: str) -> dict:
    """Positions and normalisation of the encoder or the decoder."""
    positions = getattr(backbone, f"{side}_position_embedding")
    table = linear.Leaf(positions.position_embeddings)
    norm = norms.of_layer(getattr(backbone, f"{side}_embeddings_layer_norm"))
    return {"positions": {"table": table}, "embedding_norm": norm}


def _read_layer(layer) -> Weights:
    crossed = layer._cross_attention_layer
    return {
        **read_layer(layer),
        "cross_query": linear.of_layer(crossed._query_dense),
        "cross_key": linear.of_layer(crossed._key_dense),
        "cross_value": linear.of_layer(crossed._value_dense),
        "cross_output": linear.of_layer(crossed._output_dense, 2),
        "cross_norm": norms.of_layer(layer._cross_attention_layer_norm),
    }
