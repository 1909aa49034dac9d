"""Prompt tuning: embeddings before every text."""

from typing import Any

import numpy as np
import tensorflow as tf

from tf_tokenrl.adapters.base import Adapter
from tf_tokenrl.backbones import packing
from tf_tokenrl.backbones.attention import Grid
from tf_tokenrl.backbones.linear import PREFIX, Entries
from tf_tokenrl.backbones.transformer import Transformer
from tf_tokenrl.errors import TokenRLError

_PATH = "prompt"


class PromptTuning(Adapter):
    """Learns the embeddings of some tokens that no vocabulary has.

    They stand before every prompt, and take the first positions. As nothing
    stands before them, what layers make of them is the same for every text:
    they are read once a pass, and not once a row.

    Args:
        length: how many.
        l1: see `Adapter`; of the embeddings themselves.
        l2: see `Adapter`.

    Raises:
        TokenRLError: length below 1.

    Source: Lester et al. (2021), "The Power of Scale for Parameter-Efficient
    Prompt Tuning", section 2. They begin as embeddings of tokens.
    """

    mergeable = False
    begins_as_base = False

    def __init__(self, length: int = 8, l1: float = 0.0, l2: float = 0.0):
        super().__init__(l1, l2)
        if length < 1:
            raise TokenRLError(
                f"prompt_tuning: length is {length}: give at least 1."
            )
        self.length = length

    def chooses(self, path: str, leaves: Entries) -> bool:
        """No map has a part in it."""
        return False

    def extend(self, architecture: Any, leaves: dict) -> None:
        """The embeddings `[length, H]`.

        Raises:
            TokenRLError: the tokens of a prompt see those behind them.
        """
        if not architecture.causal or architecture.crosses:
            raise TokenRLError(
                "prompt_tuning needs a model that only writes, such as GPT-2 "
                "or Llama: take prefix_tuning or lora."
            )
        table = leaves["embedding"]["table"]
        ids = np.linspace(0, table.shape[0] - 1, self.length).astype(int)
        rows = tf.cast(tf.gather(table.tensor(), ids), tf.float32)
        self.number(_PATH, "virtual", rows.shape, lambda *_, x=rows, **__: x)

    def begin(self, transformer: Transformer) -> Transformer:
        """Read the embeddings: what comes of them is a prefix of the rest."""
        place = tf.range(self.length)
        table = {"embedding": {"table": self.value(_PATH, "virtual")}}
        virtual = transformer._replace(
            weights=transformer.weights | table, frozen=False
        )
        x = virtual.embed(place, place)
        grid = Grid(tf.constant([1, self.length]))
        _, keys, values = packing.run(transformer, x, grid)
        layers = []
        for layer, k, v in zip(
            transformer.weights["layers"], keys, values, strict=True
        ):
            # How many they are is known, though not to the layer's function.
            shape = [1, k.shape[1], self.length, k.shape[3]]
            prefix = {
                "keys": tf.ensure_shape(k, shape),
                "values": tf.ensure_shape(v, shape),
            }
            layers.append(layer | {PREFIX: prefix})
        weights = transformer.weights | {"layers": layers}
        return transformer._replace(weights=weights)

    def distances(self, path: str, entries: Entries) -> list[tf.Tensor]:
        """The embeddings themselves."""
        return [self.value(path, "virtual")]
