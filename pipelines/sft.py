"""Warm start: maximum likelihood on good answers."""

import dataclasses
import math
from pathlib import Path

import keras

from tf_tokenrl import files, runs, tasks
from tf_tokenrl.callbacks import (
    BestPolicy,
    CsvLog,
    DivergenceGuard,
    EpochLines,
    ProgressBar,
    TensorBoardLog,
    TimeLimit,
)
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.datasets import prepared
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.options.sft import SftOptions
from tf_tokenrl.policies import from_preset, from_scratch, storage
from tf_tokenrl.policies.divergence import actions_of
from tf_tokenrl.policies.label import LabelPolicy
from tf_tokenrl.policies.precision import in_dtype
from tf_tokenrl.runtime import strategies
from tf_tokenrl.text.tokenizer import load_tokenizer
from tf_tokenrl.training import objectives
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.likelihood import Likelihood
from tf_tokenrl.training.updates.adam import Adam

_LENGTH = (
    "the learning rate falls until the last epoch, so that a longer run is "
    "another one: begin it from this run's policy.keras, by --start"
)
# What may change when a run goes on.
_FREE = {
    "out",
    "strategy",
    "accumulation",
    "jit",
    "patience",
    "seconds",
    "checkpoint_every",
    "max_restores",
    "resume",
    "overwrite",
}


def main(options: SftOptions) -> Path:
    """Train, keep the best policy as `policy.keras`, report its perplexity."""
    keras.utils.set_random_seed(options.seed)
    strategy = strategies.strategy(options.strategy)
    task = tasks.of(options.data, options.task)
    name = tasks.name_for(options.data, options.task)
    options = dataclasses.replace(options, task=name)
    train, validation = task.examples("train"), task.examples("validation")
    held_out = _held_out(validation, options.validation_rows)
    with strategy.scope():
        policy = in_dtype(_policy(options, task, train), options.dtype)
        if options.adapter:
            policy.put_adapter_on(options.adapter)
        preparation = prepared.preparation(options.data)
        if preparation is not None:
            policy.prepare_prompts(preparation)
        objective = _objective(options)
        train = _usable(objective, policy, train)
        held_out = _usable(objective, policy, held_out)
        learner = Learner(
            policy,
            objective,
            _optimizer(options, len(train)),
            policy.frozen_copy() if objective.needs_reference else None,
            gradient_clip=options.gradient_clip,
            accumulation=options.accumulation,
            seed=options.seed,
        )
        if options.jit:
            learner.compile()
        checkpoint = Checkpoint(
            learner,
            options.out / "checkpoints",
            every=options.checkpoint_every,
            overwrite=options.overwrite,
        )
        best = _best(options, checkpoint)
        guard = DivergenceGuard(
            checkpoint, remedy="a lower --learning-rate or a longer --warmup"
        )
        checkpoint.remembered = [guard, best]
        runs.take_up(
            options.out, "sft", options, checkpoint, _FREE, {"epochs": _LENGTH}
        )
        history = learner.fit(
            train,
            options.epochs,
            options.batch_size,
            held_out,
            [guard, best, *_telling(options, checkpoint), checkpoint],
        )
        if history and best.monitor not in history[-1]:  # its time was up
            found = learner.measure(held_out)[objective.measure]
            best.consider(policy, found)
    return _finish(options, best, len(held_out), len(validation))


def _objective(options: SftOptions) -> objectives.Objective:
    """What is learned; the options of likelihood have flags of their own."""
    if options.objective == "likelihood":
        return Likelihood(
            prompt_weight=options.prompt_weight, weighting=options.weighting
        )
    objective = objectives.parse(options.objective)
    if objective.needs_reference and options.start is None:
        raise TokenRLError(
            f"{type(objective).__name__} begins from a policy and keeps near "
            "it: name one by --start."
        )
    return objective


def _usable(objective, policy, examples: list[Example]) -> list[Example]:
    """What the objective can learn from, and a word on what it cannot."""
    kept = objective.usable(policy, examples)
    if left := len(examples) - len(kept):
        print(
            f"{left} of {len(examples)} rows teach nothing; they are left out."
        )
    return kept


def _finish(
    options: SftOptions, best: BestPolicy, measured: int, rows: int
) -> Path:
    """Write the results of the best policy, and say what they are."""
    if best.best is None:
        raise TokenRLError(
            "The policy never became better than guessing, so none was saved "
            f'in "{options.out}": begin again with a lower --learning-rate.'
        )
    measure = best.monitor.partition("/")[2]
    results = {f"validation_{measure}": best.best, "validation_rows": measured}
    told = f"Validation {measure} {best.best:.4f}"
    if measure == "nll":
        perplexity = math.exp(best.best)
        results["validation_perplexity"] = perplexity
        told = f"Validation perplexity {perplexity:.2f}"
    path = options.out / runs.POLICY
    if best.path is not None:
        files.write_json(options.out / "results.json", results)
        part = f" on {measured} of {rows} rows" if measured < rows else ""
        print(f"{told}{part}; policy: {path}")
    return path


def _held_out(rows: list[Example], most: int) -> list[Example]:
    """At most so many rows, evenly spread over all; 0 takes all."""
    if not most or most >= len(rows):
        return rows
    return [rows[i * len(rows) // most] for i in range(most)]


def _best(options: SftOptions, checkpoint: Checkpoint) -> BestPolicy:
    """Keeps the best policy; one far worse than guessing is not good."""
    learner = checkpoint.trainer
    measure, limit = learner.objective.measure, math.inf
    if measure == "nll":
        limit = 10.0 * math.log(actions_of(learner.policy))
    return BestPolicy(
        options.out / runs.POLICY if checkpoint.writes else None,
        f"validation/{measure}",
        options.patience,
        limit,
    )


def _telling(options: SftOptions, checkpoint: Checkpoint) -> list:
    """What tells people about a run, and the limit of its time."""
    limit = [TimeLimit(options.seconds)] if options.seconds > 0 else []
    if not checkpoint.writes:
        return limit
    return [
        EpochLines(),
        ProgressBar(),
        CsvLog(options.out / "log.csv"),
        TensorBoardLog(options.out / "tensorboard"),
        *limit,
    ]


def _optimizer(options: SftOptions, rows: int) -> keras.Optimizer:
    """AdamW: a linear warm-up, then half a cosine down to 0."""
    steps = options.epochs * math.ceil(rows / options.batch_size)
    rate, warmup = options.learning_rate, _warmup(options.warmup, steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / warmup if warmup else rate,
        max(steps - warmup, 1),
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
    return Adam(schedule, weight_decay=options.weight_decay, beta_2=0.98)


def _warmup(warmup: int, steps: int) -> int:
    """At most half of a run, else a tenth of it, and said."""
    if 2 * warmup <= steps:
        return warmup
    print(
        f"A warm-up of {warmup} steps is more than half of this run of "
        f"{steps}: the learning rate rises for {steps // 10} instead."
    )
    return steps // 10


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
