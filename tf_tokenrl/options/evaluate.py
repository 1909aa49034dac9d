"""Options of `evaluate`."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.options.checking import Amount, Count, Options, Split


@dataclass(frozen=True)
class EvaluateOptions(Options):
    """Which policy, and on what.

    Attributes:
        policy: a policy that `sft` or `train` wrote.
        data: a folder that `prepare` wrote.
        task: name of a task, or "module:Class"; "" takes the one that
            `prepare` recorded.
        split: "test", "validation" or "train".
        limit: most examples; 0 takes all.
        batch_size: prompts answered together.
        out: JSON file for the figures; by default they are only printed.
    """

    policy: Path = Path("runs/demo/rl/policy.keras")
    data: Path = Path("runs/demo/data")
    task: str = ""
    split: Split = "test"
    limit: Amount = 0
    batch_size: Count = 64
    out: Path | None = None
