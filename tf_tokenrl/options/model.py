"""Options of fresh weights: the shape of a model."""

from dataclasses import dataclass
from typing import Literal

from tf_tokenrl.options.checking import Count, Options


@dataclass(frozen=True)
class ModelOptions(Options):
    """The shape of a policy with fresh weights.

    Attributes:
        architecture: "gpt2", "llama", "bart", "lstm" or "gru" for a policy
            that writes, "bert" for one that labels.
        layers: number of layers; "bart" has as many to read and to write.
        width: hidden size.
        heads: attention heads; recurrent models have none.
        letter_case: tell "bert" how each word is written.
    """

    architecture: Literal["gpt2", "llama", "bart", "lstm", "gru", "bert"] = (
        "gpt2"
    )
    layers: Count = 2
    width: Count = 128
    heads: Count = 4
    letter_case: bool = False
