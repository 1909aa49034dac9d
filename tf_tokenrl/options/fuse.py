"""Options of `fuse`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tf_tokenrl.options.checking import Options


@dataclass(frozen=True)
class FuseOptions(Options):
    """Which policies, and how much of each.

    Attributes:
        policies: files that `sft` or `train` wrote, of one shape; adapters
            are merged.
        weights: of each; those of an interpolation add up to 1, a task
            vector's may be negative.
        method: "interpolation", the weighted mean of the weights, or
            "task_vectors", which adds to `base` what each policy changed.
        base: the policy that the others were trained from; "task_vectors"
            needs it.
        out: where the policy is written.
    """

    policies: tuple[Path, ...] = ()
    weights: tuple[float, ...] = ()
    method: Literal["interpolation", "task_vectors"] = "interpolation"
    base: Path = Path("runs/sft/policy.keras")
    out: Path = Path("runs/fused/policy.keras")
