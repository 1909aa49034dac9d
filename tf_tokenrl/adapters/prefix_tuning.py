"""Prefix tuning: keys and values before every text, in every layer."""

from typing import Any

import keras
import tensorflow as tf

from tf_tokenrl.adapters.base import Adapter, seeded
from tf_tokenrl.backbones.linear import PREFIX, Entries
from tf_tokenrl.errors import TokenRLError


class PrefixTuning(Adapter):
    """Learns keys and values that each text attends to besides its own.

    They take the first positions: a text begins behind them, but in an
    encoder, where they have no place. Of an encoder-decoder the decoder has
    them. There is no network that makes them; they are learned as they are.

    Args:
        length: how many, in every layer.
        scale: standard deviation of the numbers at first.
        l1: see `Adapter`; of the numbers themselves.
        l2: see `Adapter`.

    Raises:
        TokenRLError: length below 1.

    Source: Li and Liang (2021), "Prefix-Tuning: Optimizing Continuous Prompts
    for Generation", section 4.
    """

    mergeable = False
    begins_as_base = False

    def __init__(
        self,
        length: int = 8,
        scale: float = 0.02,
        l1: float = 0.0,
        l2: float = 0.0,
    ):
        super().__init__(l1, l2)
        if length < 1:
            raise TokenRLError(
                f"prefix_tuning: length is {length}: give at least 1."
            )
        self.length = length
        self.scale = scale

    def chooses(self, path: str, leaves: Entries) -> bool:
        """No map has a part in it."""
        return False

    def extend(self, architecture: Any, leaves: dict) -> None:
        """Keys and values of each layer, `[1, key heads, length, size]`."""
        heads = getattr(architecture, "key_heads", architecture.heads)
        for number, layer in enumerate(leaves["layers"]):
            width = layer["key"]["kernel"].shape[1]
            shape = [1, heads, self.length, width // heads]
            for name in ("keys", "values"):
                path = f"layers.{number}"
                initial = keras.initializers.RandomNormal(
                    0.0, self.scale, seeded(path, name)
                )
                self.number(path, name, shape, initial)

    def entries(self, path: str, entries: Entries) -> Entries:
        """A layer with its prefix."""
        prefix = {name: self.value(path, name) for name in ("keys", "values")}
        return {**entries, PREFIX: prefix}

    def distances(self, path: str, entries: Entries) -> list[tf.Tensor]:
        """The numbers themselves; there is nothing that they come from."""
        return [self.value(path, name) for name in ("keys", "values")]
