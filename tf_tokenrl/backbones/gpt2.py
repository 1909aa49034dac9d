"""GPT-2: learned positions, LayerNorm first, one head of keys per query."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import tensorflow as tf

from tf_tokenrl.backbones import linear, norms
from tf_tokenrl.backbones.keras_hub_layer import in_heads, read_layer
from tf_tokenrl.backbones.linear import Groups, Weights


@dataclasses.dataclass(frozen=True)
class Gpt2:
    """The functions of a `keras_hub.models.GPT2Backbone`'s layers."""

    heads: int
    epsilon: float
    activation: Callable
    dtype: str

    groups: ClassVar[Groups] = (
        ("query", "key", "value"),
        ("attention_output",),
        ("up",),
        ("down",),
    )
    causal: ClassVar[bool] = True
    crosses: ClassVar[bool] = False

    @classmethod
    def of(cls, backbone) -> "Gpt2":
        """That of a backbone."""
        layer = backbone.transformer_layers[0]
        return cls(
            backbone.num_heads,
            backbone.layer_norm.epsilon,
            layer._feedforward_intermediate_dense.activation,
            backbone.compute_dtype,
        )

    def read(self, backbone) -> dict:
        """Where the weights of a backbone live, by role."""
        layers = [read_layer(x) for x in backbone.transformer_layers]
        return self.ends(backbone) | {"layers": layers}

    def ends(self, backbone) -> dict:
        """Those before and after the layers."""
        positions = backbone.position_embedding.position_embeddings
        return linear.of_embedding(backbone.token_embedding) | {
            "positions": {"table": linear.Leaf(positions)},
            "norm": norms.of_layer(backbone.layer_norm),
        }

    def embed(self, weights: dict, ids: tf.Tensor, positions: tf.Tensor):
        """Ids `[N]` at positions `[N]` -> `[N, H]`."""
        return linear.embed(weights, ids, positions, self.dtype)

    def project(self, weights: Weights, x: tf.Tensor, turn):
        """Queries, keys and values of a layer, each `[N, heads, size]`."""
        x = norms.layer_norm(weights["attention_norm"], x, self.epsilon)
        x = linear.apply(weights, x, "query", "key", "value")
        return [in_heads(part, self.heads) for part in tf.split(x, 3, axis=-1)]

    def finish(self, weights: Weights, x: tf.Tensor, attended: tf.Tensor):
        """The rest of a layer, after attention `[N, heads * size]`."""
        x = x + linear.apply(weights, attended, "attention_output")
        y = norms.layer_norm(weights["feedforward_norm"], x, self.epsilon)
        y = self.activation(linear.apply(weights, y, "up"))
        return x + linear.apply(weights, y, "down")

    def normalize(self, weights: dict, x: tf.Tensor) -> tf.Tensor:
        """The backbone's last normalisation."""
        return norms.layer_norm(weights["norm"], x, self.epsilon)
