"""Options of `sft`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tf_tokenrl.options.checking import (
    COMPUTE,
    OPTIMIZER,
    WATCH,
    Amount,
    Count,
    Dtype,
    NotNegative,
    Options,
    Positive,
    Strategy,
)
from tf_tokenrl.options.model import ModelOptions


@dataclass(frozen=True)
class SftOptions(Options):
    """What to learn from, and how.

    Attributes:
        data: a folder that `prepare` wrote.
        task: name of a task, or "module:Class"; "" takes the one that
            `prepare` recorded.
        out: folder of this run; `policy.keras` is written there.
        start: policy to go on from; by default one with fresh weights.
        preset: pretrained weights for a fresh policy, by a KerasHub name or
            in a folder; by default there are none, and `model` is built.
        model: shape of fresh weights.
        max_prompt_tokens: longest prompt of a fresh policy.
        max_new_tokens: longest answer of a fresh policy.
        temperature: sampling temperature of a fresh policy.
        dtype: in which the policy computes: "float32", "mixed_bfloat16" or
            "bfloat16"; "" keeps that of `start`, `preset`, or float32.
        adapter: what learns instead of all weights, such as "lora(rank=16)";
            "" is all weights, or the adapter of `start`.
        jit: let XLA compile the steps, which takes a while for each length
            of rows; on a CPU it is slower in bfloat16.
        strategy: "default", "one_device", "mirrored", "multi_worker", "tpu".
        batch_size: rows per step.
        learning_rate: of AdamW, reached after `warmup` steps.
        warmup: steps of linear warm-up; a tenth of the run where that would
            be more than half of it.
        weight_decay: of AdamW.
        objective: "likelihood"; or, with a `start` and two answers or a
            judgement for each prompt, "dpo(beta=0.1)" or "kto", see
            `docs/objectives.md`.
        prompt_weight: of a prompt's token against an answer's, in likelihood.
        weighting: "none", or "gold", which weighs each token of likelihood by
            its probability now, see `Likelihood`.
        gradient_clip: greatest global norm of the gradient; 0 sets no limit.
        accumulation: parts in which a batch is computed.
        epochs: most passes over the data; the learning rate falls to 0
            with the last.
        patience: epochs without a better validation loss that end the run;
            0 never ends it early. The best policy is kept.
        seconds: end with the step in which this time is up; 0 sets no limit.
        validation_rows: most rows to validate on, evenly spread; 0 takes all.
        checkpoint_every: steps between two checkpoints.
        resume: go on from the newest checkpoint in `out`, with the options
            that the run began with; goes before `overwrite`.
        overwrite: replace the run that is in `out`.
        seed: of weights and order.
    """

    data: Path = Path("runs/demo/data")
    task: str = ""
    out: Path = Path("runs/sft")
    start: Path | None = None
    preset: str = ""
    model: ModelOptions = field(default_factory=ModelOptions)
    max_prompt_tokens: Count = 96
    max_new_tokens: Count = 24
    temperature: Positive = 1.0
    dtype: Annotated[Dtype, COMPUTE] = ""
    adapter: str = ""
    jit: Annotated[bool, COMPUTE] = False
    strategy: Annotated[Strategy, COMPUTE] = "default"
    batch_size: Count = 32
    learning_rate: Annotated[Positive, OPTIMIZER] = 2e-3
    warmup: Annotated[Amount, OPTIMIZER] = 100
    weight_decay: Annotated[NotNegative, OPTIMIZER] = 0.05
    objective: str = "likelihood"
    prompt_weight: NotNegative = 0.2
    weighting: Literal["none", "gold"] = "none"
    gradient_clip: Annotated[NotNegative, OPTIMIZER] = 1.0
    accumulation: Annotated[Count, OPTIMIZER] = 1
    epochs: Count = 8
    patience: Annotated[Amount, WATCH] = 1
    seconds: Annotated[NotNegative, WATCH] = 0.0
    validation_rows: Annotated[Amount, WATCH] = 1024
    checkpoint_every: Annotated[Count, WATCH] = 500
    resume: bool = False
    overwrite: bool = False
    seed: int = 0
