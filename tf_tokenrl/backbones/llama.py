"""Llama and its kin: rotary positions, RMSNorm first, gated feed-forward.

Mistral is a Llama whose head size is free and whose window is longer than
the texts; Qwen 2 has biases, Qwen 3 normalises queries and keys by head.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import tensorflow as tf

from tf_tokenrl.backbones import linear, norms
from tf_tokenrl.backbones.keras_hub_layer import in_heads
from tf_tokenrl.backbones.linear import Groups, Weights


@dataclasses.dataclass(frozen=True)
class Llama:
    """The functions of the layers of a `keras_hub.models.LlamaBackbone`."""

    heads: int
    key_heads: int
    epsilon: float
    head_epsilon: float
    activation: Callable
    dtype: str

    groups: ClassVar[Groups] = (
        ("query", "key", "value"),
        ("attention_output",),
        ("gate", "up"),
        ("down",),
    )
    causal: ClassVar[bool] = True
    crosses: ClassVar[bool] = False

    @classmethod
    def of(cls, backbone) -> "Llama":
        """That of a backbone."""
        layer = backbone.transformer_layers[0]
        by_head = getattr(
            layer._self_attention_layer, "_query_dense_layer_norm", None
        )
        return cls(
            backbone.num_query_heads,
            backbone.num_key_value_heads,
            backbone.layer_norm.epsilon,
            by_head.epsilon if by_head is not None else 0.0,
            layer.activation,
            backbone.compute_dtype,
        )

    def read(self, backbone) -> dict:
        """Where the weights of a backbone live, by role."""
        layers = [_read_layer(layer) for layer in backbone.transformer_layers]
        return self.ends(backbone) | {"layers": layers}

    def ends(self, backbone) -> dict:
        """Those before and after the layers."""
        attention = backbone.transformer_layers[0]._self_attention_layer
        size = attention._query_dense.kernel.shape[-1]
        frequencies = attention.rotary_embedding_layer._get_inverse_freq(size)
        ends = linear.of_embedding(backbone.token_embedding)
        norm = norms.of_layer(backbone.layer_norm)
        return ends | {"frequencies": frequencies, "norm": norm}

    def embed(self, weights: dict, ids: tf.Tensor, positions: tf.Tensor):
        """Ids `[N]` -> `[N, H]`; positions enter with queries and keys."""
        return linear.embed(weights, ids, positions, self.dtype)

    def project(self, weights: Weights, x: tf.Tensor, turn):
        """Queries, keys and values of a layer, each `[N, heads, size]`.

        Args:
            weights: of the layer.
            x: its state `[N, H]`.
            turn: what `rotation` made of the positions.
        """
        x = norms.rms_norm(weights["attention_norm"], x, self.epsilon)
        x = linear.apply(weights, x, "query", "key", "value")
        x = in_heads(x, self.heads + 2 * self.key_heads)
        parts = [self.heads, self.key_heads, self.key_heads]
        if "query_norm" not in weights:
            turned = _turned(x[:, : self.heads + self.key_heads], *turn)
            query, key = tf.split(turned, parts[:2], axis=1)
            return query, key, x[:, self.heads + self.key_heads :]
        query, key, value = tf.split(x, parts, axis=1)
        query = norms.rms_norm(weights["query_norm"], query, self.head_epsilon)
        key = norms.rms_norm(weights["key_norm"], key, self.head_epsilon)
        return _turned(query, *turn), _turned(key, *turn), value

    def finish(self, weights: Weights, x: tf.Tensor, attended: tf.Tensor):
        """The rest of a layer, after attention `[N, heads * size]`."""
        x = x + linear.apply(weights, attended, "attention_output")
        y = norms.rms_norm(weights["feedforward_norm"], x, self.epsilon)
        y = linear.apply(weights, y, "gate", "up")
        gate, y = tf.split(y, 2, axis=-1)
        gate = self.activation(tf.cast(gate, tf.float32))
        y = y * tf.cast(gate, y.dtype)
        return x + linear.apply(weights, y, "down")

    def normalize(self, weights: dict, x: tf.Tensor) -> tf.Tensor:
        """The backbone's last normalisation."""
        return norms.rms_norm(weights["norm"], x, self.epsilon)


def _turned(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor) -> tf.Tensor:
    """`[N, heads, size]`, each pair of halves turned by its angle."""
    first, second = tf.split(x, 2, axis=-1)
    return x * cos + tf.concat([-second, first], axis=-1) * sin


def _read_layer(layer) -> Weights:
    attention = layer._self_attention_layer
    weights = {
        "attention_norm": norms.of_layer(layer._self_attention_layernorm),
        "query": linear.of_layer(attention._query_dense),
        "key": linear.of_layer(attention._key_dense),
        "value": linear.of_layer(attention._value_dense),
        "attention_output": linear.of_layer(attention._output_dense, 2),
        "feedforward_norm": norms.of_layer(layer._feedforward_layernorm),
        "gate": linear.of_layer(layer._feedforward_gate_dense),
        "up": linear.of_layer(layer._feedforward_intermediate_dense),
        "down": linear.of_layer(layer._feedforward_output_dense),
    }
    for name in ("query", "key"):
        by_head = getattr(attention, f"_{name}_dense_layer_norm", None)
        if by_head is not None:
            weights[f"{name}_norm"] = norms.of_layer(by_head)
    return weights
