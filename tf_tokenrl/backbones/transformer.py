"""A backbone as functions and a dictionary of weights."""

from typing import Any, NamedTuple

import tensorflow as tf

from tf_tokenrl.backbones import kernels, layers, linear
from tf_tokenrl.backbones.layers import Kind


class Transformer(NamedTuple):
    """What reads and decodes texts: pure functions, and weights by role.

    Attributes:
        architecture: the functions of its layers.
        weights: entries by role, see `linear`. `layers` is a list with the
            entries of each layer; the rest (`embedding`, `positions`,
            `norm`, `logits`, ...) belong to the whole.
        frozen: True where only what an adapter adds learns.
    """

    architecture: Any
    weights: dict
    frozen: bool = False

    @property
    def kind(self) -> Kind:
        """What the functions of its layers are called with."""
        return Kind(self.architecture, self.frozen)

    @property
    def group(self) -> int:
        """Queries that share a key."""
        heads = self.architecture.heads
        return heads // getattr(self.architecture, "key_heads", heads)

    @property
    def offset(self) -> int:
        """Positions that an adapter's prefix takes before every text."""
        prefix = self.weights["layers"][0].get(linear.PREFIX)
        return 0 if prefix is None else prefix["keys"].shape[2]

    @property
    def encoder(self) -> "Transformer":
        """That of the other side of an encoder-decoder."""
        embedding = {"embedding": self.weights["embedding"]}
        return Transformer(
            self.architecture.encoder,
            self.weights["encoder"] | embedding,
            self.frozen,
        )

    def embed(self, *asked) -> tf.Tensor:
        """Ids `[N]` at positions `[N]` -> `[N, H]`."""
        return self.architecture.embed(self._learning(), *asked)

    def rotation(self, positions: tf.Tensor):
        """See `layers.rotation`."""
        dtype = self.architecture.dtype
        return layers.rotation(self.weights, positions, dtype)

    def normalize(self, x: tf.Tensor) -> tf.Tensor:
        """The last normalisation, `[N, H]`."""
        return self.architecture.normalize(self._learning(), x)

    def in_panels(self) -> list[dict]:
        """The products of each layer as decoding wants them, see `kernels`."""
        dtype = tf.as_dtype(self.architecture.dtype)
        return [
            {
                "+".join(roles): kernels.in_panels(
                    linear.join(layer, roles, dtype)
                )
                for roles in self.architecture.groups
            }
            for layer in self.weights["layers"]
        ]

    def decoding(self, panels: list[dict] | None = None) -> "Transformer":
        """The same with the weights of layers laid out for few rows.

        Args:
            panels: what `in_panels` gave, if it was called already.
        """
        panels = panels or self.in_panels()
        prepared = [
            _prepared(layer, found)
            for layer, found in zip(self.weights["layers"], panels, strict=True)
        ]
        return self._replace(weights=self.weights | {"layers": prepared})

    def _learning(self) -> dict:
        """The weights outside of layers, stopped where they are frozen."""
        rest = {k: v for k, v in self.weights.items() if k != "layers"}
        rest.pop("encoder", None)
        return linear.frozen(rest) if self.frozen else rest


def _prepared(layer: linear.Weights, panels: linear.Weights) -> linear.Weights:
    """A layer with kernels in panels; adapters stay with their roles.

    Where one of several roles that share a panel has an adapter, all keep
    their own kernels too: these tell where the one's outputs stand.
    """
    kept = dict(layer)
    for name, entries in panels.items():
        roles = name.split("+")
        if not any(linear.ADAPTER in kept[role] for role in roles):
            for role in roles:
                del kept[role]
        kept[name] = kept.get(name, {}) | entries
    return kept
