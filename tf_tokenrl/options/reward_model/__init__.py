"""Options of `reward-model`."""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl.options.checking import (
    Amount,
    Count,
    NotNegative,
    Options,
    Positive,
    Strategy,
)


@dataclass(frozen=True)
class RewardModelOptions(Options):
    """What people preferred, and how it is learned.

    Attributes:
        data: see `tf_tokenrl.datasets.readers`; rows with `prompt`, `chosen`
            and `rejected`, or with `prompt`, `answer` and `score`.
        start: a policy that writes, whose body and tokenizer the judge takes.
        out: folder of this run; each member has its own in it, with
            `policy.keras`.
        model: folder of the exported model; a member is a version. None
            exports nothing.
        objective: "pairwise(margin=0.0, per_token=False)", or
            "pointwise(kind='regression')".
        prompt: field with the prompt.
        chosen: field with the preferred answer.
        rejected: field with the other answer.
        answer: field with a single answer.
        score: field with its judgement.
        members: models of an ensemble, which differ in the head they begin
            with and in the order of data.
        strategy: "default", "one_device", "mirrored", "multi_worker", "tpu".
        batch_size: rows per step.
        learning_rate: of Adam; falls linearly to 0.
        gradient_clip: greatest global norm of the gradient; 0 sets no limit.
        accumulation: parts in which a batch is computed.
        epochs: most passes over the data.
        patience: epochs without a better validation loss that end the run; 0
            never ends it early. The best model is kept.
        checkpoint_every: steps between two checkpoints.
        resume: go on with the run in `out`; goes before `overwrite`.
        overwrite: replace the run that is in `out`.
        seed: of the first member's head and order.
    """

    data: str = "preferences.jsonl"
    start: Path = Path("runs/sft/policy.keras")
    out: Path = Path("runs/reward")
    model: Path | None = None
    objective: str = "pairwise"
    prompt: str = "prompt"
    chosen: str = "chosen"
    rejected: str = "rejected"
    answer: str = "answer"
    score: str = "score"
    members: Count = 1
    strategy: Strategy = "default"
    batch_size: Count = 32
    learning_rate: Positive = 1e-4
    gradient_clip: NotNegative = 1.0
    accumulation: Count = 1
    epochs: Count = 2
    patience: Amount = 1
    checkpoint_every: Count = 500
    resume: bool = False
    overwrite: bool = False
    seed: int = 0
