"""Warm start: maximum likelihood on good answers, with Keras `fit`."""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path

import keras

from tf_tokenrl import files, runs, tasks
from tf_tokenrl.flow import Example
from tf_tokenrl.policies import from_preset, from_scratch, storage
from tf_tokenrl.policies.from_scratch import ModelOptions
from tf_tokenrl.policies.label import LabelPolicy
from tf_tokenrl.policies.precision import in_dtype
from tf_tokenrl.runtime import strategies
from tf_tokenrl.text.tokenizer import load_tokenizer
from tf_tokenrl.training.objectives import likelihood


@dataclass(frozen=True)
class SftOptions:
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
        jit: let XLA compile the steps, which takes a while for each length
            of rows; on a CPU it is slower in bfloat16.
        strategy: "default", "one_device", "mirrored", "multi_worker", "tpu".
        batch_size: rows per step.
        learning_rate: of AdamW, reached after `warmup` steps.
        warmup: steps of linear warm-up.
        weight_decay: of AdamW.
        prompt_weight: weight of a prompt's token against an answer's.
        epochs: most passes over the data; the learning rate falls to 0
            with the last.
        patience: epochs without a better validation loss that end the run;
            the best weights are kept.
        seconds: end after the epoch, or within it, at which this time is
            up; 0 sets no limit.
        seed: of weights and order.
    """

    data: Path = Path("runs/demo/data")
    task: str = ""
    out: Path = Path("runs/sft")
    start: Path | None = None
    preset: str = ""
    model: ModelOptions = field(default_factory=ModelOptions)
    max_prompt_tokens: int = 96
    max_new_tokens: int = 24
    temperature: float = 1.0
    dtype: str = ""
    jit: bool = False
    strategy: str = "default"
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.05
    prompt_weight: float = 0.2
    epochs: int = 8
    patience: int = 1
    seconds: float = 0.0
    seed: int = 0


def main(options: SftOptions) -> Path:
    """Train, save `policy.keras`, and report the perplexity."""
    keras.utils.set_random_seed(options.seed)
    task = tasks.of(options.data, options.task)
    name = tasks.name_for(options.data, options.task)
    options = dataclasses.replace(options, task=name)
    train, validation = task.examples("train"), task.examples("validation")
    with strategies.strategy(options.strategy).scope():
        policy = in_dtype(_policy(options, task, train), options.dtype)
        steps = _optimizer(options, len(train))
        policy.compile(steps, jit_compile=options.jit)
    runs.record(options.out, "sft", options)
    policy.fit(
        likelihood.batches(
            policy,
            train,
            options.batch_size,
            options.seed,
            options.prompt_weight,
        ),
        validation_data=likelihood.batches(policy, validation, 128),
        epochs=options.epochs,
        callbacks=likelihood.callbacks(
            options.out, options.patience, options.seconds
        ),
        verbose=likelihood.verbosity(),
    )
    nll = likelihood.nll(policy, validation)
    results = {"validation_nll": nll, "validation_perplexity": math.exp(nll)}
    files.write_json(options.out / "results.json", results)
    path = storage.save(policy, options.out / "policy.keras")
    print(f"Validation perplexity {math.exp(nll):.2f}; policy: {path}")
    return path


def _optimizer(options: SftOptions, rows: int) -> keras.Optimizer:
    steps = options.epochs * math.ceil(rows / options.batch_size)
    return likelihood.optimizer(
        options.learning_rate, options.warmup, steps, options.weight_decay
    )


def _policy(options: SftOptions, task: tasks.Task, train: list[Example]):
    if options.start is not None:
        policy = storage.load(options.start)
        task.check(policy)
        return policy
    if task.kind.labels:
        return _labelling_policy(options, task.labels(train), task.kind.unit)
    if options.preset:
        return from_preset.policy(
            options.preset,
            max_prompt_tokens=options.max_prompt_tokens,
            max_new_tokens=options.max_new_tokens,
            temperature=options.temperature,
        )
    return from_scratch.build(
        options.model,
        load_tokenizer(options.data / "tokenizer.spm"),
        options.max_prompt_tokens,
        options.max_new_tokens,
        options.temperature,
    )


def _labelling_policy(
    options: SftOptions, labels: tuple[str, ...], unit: str
) -> LabelPolicy:
    if options.preset:
        return LabelPolicy.from_preset(
            options.preset,
            labels,
            unit=unit,
            letter_case=options.model.letter_case,
            max_prompt_tokens=options.max_prompt_tokens,
            temperature=options.temperature,
        )
    return from_scratch.build_labelling(
        options.model,
        load_tokenizer(options.data / "tokenizer.spm"),
        labels,
        unit,
        options.max_prompt_tokens,
        options.temperature,
    )
