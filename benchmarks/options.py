"""What every benchmark is told: the work, and whom to compare with."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

_OURS = {"json", "peer", "peer_script", "rounds"}
_UNKNOWN_TO_PEERS = {"accumulation", "gradient_checkpointing"}


@dataclass(frozen=True)
class Work:
    """A GPT-2 architecture with random weights, and what it is to do.

    Attributes:
        dtype: of weights and computation; "mixed_bfloat16" computes in
            bfloat16 on float32 weights.
        layers: of the model.
        heads: of its attention.
        width: of its hidden states.
        vocabulary: number of tokens.
        batch: answers at a time.
        prompt: tokens of each prompt.
        new: tokens of each answer.
        iterations: how often it is measured, warm-up included.
        json: print one line of JSON.
        peer: a Python that runs the peer's script; "" measures the project
            alone.
        peer_script: any script that takes the same options and prints JSON
            with the same keys; by default the one in `peers`.
        rounds: how often project and peer are run in turn.
    """

    dtype: Literal["float32", "bfloat16", "mixed_bfloat16"] = "float32"
    layers: int = 12
    heads: int = 12
    width: int = 768
    vocabulary: int = 50257
    batch: int = 8
    prompt: int = 32
    new: int = 64
    iterations: int = 5
    json: bool = False
    peer: str = ""
    peer_script: Path | None = None
    rounds: int = 2


@dataclass(frozen=True)
class Learning(Work):
    """Work that ends in an update.

    Attributes:
        algorithm: "rloo" is REINFORCE with leave-one-out baselines and KL in
            the reward, "grpo" has k3 in the loss; both sample four answers to
            each prompt.
        accumulation: parts in which the project computes an update, which
            changes what memory it needs; the peer takes one.
        gradient_checkpointing: keep less for an update and compute it again;
            the peer does not.
    """

    algorithm: Literal["rloo", "grpo"] = "rloo"
    accumulation: int = 1
    gradient_checkpointing: tyro.conf.FlagConversionOff[bool] = False


def flags(work: Work, peer: bool = False) -> list[str]:
    """The work as options of a command line, without those on comparing.

    Args:
        work: what is to be done.
        peer: leave out what only the project distinguishes.
    """
    found = []
    for field in dataclasses.fields(work):
        value = getattr(work, field.name)
        if field.name in _OURS:
            continue
        if peer and field.name in _UNKNOWN_TO_PEERS:
            continue
        if peer and value == "mixed_bfloat16":
            value = "bfloat16"
        found += [f"--{field.name.replace('_', '-')}", str(value)]
    return found
