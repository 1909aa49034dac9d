"""BERT and its kin: every token sees all others, LayerNorm last."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import tensorflow as tf

from tf_tokenrl.backbones import linear, norms
from tf_tokenrl.backbones.keras_hub_layer import in_heads, read_layer
from tf_tokenrl.backbones.linear import Groups, Weights


@dataclasses.dataclass(frozen=True)
class Encoder:
    """The functions of layers that are KerasHub's `TransformerEncoder`."""

    heads: int
    epsilon: float
    embedding_epsilon: float
    activation: Callable
    dtype: str

    groups: ClassVar[Groups] = (
        ("query", "key", "value"),
        ("attention_output",),
        ("up",),
        ("down",),
    )
    causal: ClassVar[bool] = False
    crosses: ClassVar[bool] = False

    @classmethod
    def of(cls, backbone, layers=None, norm=None) -> "Encoder":
        """That of a backbone.

        Args:
            backbone: BERT, RoBERTa or DistilBERT, or a model that has such
                layers among others.
            layers: by default those of the backbone.
            norm: of the embedding, by default that of the backbone.
        """
        layers = layers or backbone.transformer_layers
        norm = norm or backbone.embeddings_layer_norm
        return cls(
            backbone.num_heads,
            layers[0].layer_norm_epsilon,
            norm.epsilon,
            layers[0]._feedforward_intermediate_dense.activation,
            backbone.compute_dtype,
        )

    def read(self, backbone) -> dict:
        """Where the weights of a backbone live, by role."""
        embeddings = getattr(backbone, "embeddings", backbone)
        positions = embeddings.position_embedding.position_embeddings
        table = linear.Leaf(backbone.token_embedding.embeddings)
        weights = {
            "embedding": {"table": table},
            "positions": {"table": linear.Leaf(positions)},
            "embedding_norm": norms.of_layer(backbone.embeddings_layer_norm),
            "layers": [read_layer(x) for x in backbone.transformer_layers],
        }
        if hasattr(backbone, "segment_embedding"):
            segments = backbone.segment_embedding.embeddings
            weights["segments"] = {"table": linear.Leaf(segments)}
        return weights

    def embed(self, weights: dict, ids, positions, segments=None) -> tf.Tensor:
        """Ids `[N]` at positions `[N]`, in segments `[N]`, -> `[N, H]`."""
        x = linear.embed(weights, ids, positions, self.dtype, segments)
        epsilon = self.embedding_epsilon
        return norms.layer_norm(weights["embedding_norm"], x, epsilon)

    def project(self, weights: Weights, x: tf.Tensor, turn):
        """Queries, keys and values of a layer, each `[N, heads, size]`."""
        x = linear.apply(weights, x, "query", "key", "value")
        return [in_heads(part, self.heads) for part in tf.split(x, 3, axis=-1)]

    def finish(self, weights: Weights, x: tf.Tensor, attended: tf.Tensor):
        """The rest of a layer, after attention `[N, heads * size]`."""
        x = x + linear.apply(weights, attended, "attention_output")
        x = norms.layer_norm(weights["attention_norm"], x, self.epsilon)
        y = self.activation(linear.apply(weights, x, "up"))
        y = x + linear.apply(weights, y, "down")
        return norms.layer_norm(weights["feedforward_norm"], y, self.epsilon)

    def normalize(self, weights: dict, x: tf.Tensor) -> tf.Tensor:
        """The last layer has normalised already."""
        return x
