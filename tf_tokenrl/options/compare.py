"""Options of `compare`."""

from dataclasses import dataclass, field
from pathlib import Path

from tf_tokenrl.options.checking import Count, Options, Positive, Split
from tf_tokenrl.options.sft import SftOptions
from tf_tokenrl.options.train import TrainOptions


@dataclass(frozen=True)
class CompareOptions(Options):
    """A supervised start, and what each way of going on from it adds.

    Attributes:
        data: see `sft`; it stands for both parts.
        task: name of a task, or "module:Class"; "" takes the one that
            `prepare` recorded; for both parts.
        out: folder of all runs.
        sft: the supervised start; its data, task, out and seed are set here.
        train: the reinforcement; so are its own, and its policy.
        longer_learning_rate: of the supervised learning that goes on.
        split: what is measured: "test", "validation" or "train".
        seeds: how often, with the seeds `seed`, `seed + 1`, ...
        seed: the first.
    """

    data: Path = Path("runs/demo/data")
    task: str = ""
    out: Path = Path("runs/compare")
    sft: SftOptions = field(default_factory=SftOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    longer_learning_rate: Positive = 5e-5
    split: Split = "validation"
    seeds: Count = 1
    seed: int = 0
