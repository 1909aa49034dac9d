"""Reinforcement learning: make a policy's answers earn more."""

import dataclasses
from pathlib import Path

import keras

from tf_tokenrl import algorithms, files, rewards, runs, tasks
from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.callbacks import (
    AnswersLog,
    CsvLog,
    DivergenceGuard,
    EarlyStopping,
    ProgressBar,
    RewardMonitor,
    TensorBoardLog,
)
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.evaluation.samples import samples
from tf_tokenrl.options.train import TrainOptions
from tf_tokenrl.policies import storage
from tf_tokenrl.policies.precision import in_dtype
from tf_tokenrl.runtime import strategies
from tf_tokenrl.training import q_learning
from tf_tokenrl.training.options import TrainerOptions
from tf_tokenrl.training.rollouts import exploration
from tf_tokenrl.training.trainer import Trainer
from tf_tokenrl.training.updates import kl_loss
from tf_tokenrl.training.updates.adam import Adam

_MONITORED = 64  # held-out examples
_FREE = {
    "out",
    "strategy",
    "gradient_checkpointing",
    "overlap",
    "jit",
    "reward_processes",
    "early_stopping",
    "max_restores",
    "monitor_every",
    "monitor_stops",
    "checkpoint_every",
    "resume",
    "overwrite",
    "sample_answers",
}
_LENGTH = (
    "the learning rate falls until the last step, so that a longer run is "
    "another one: begin it from this run's policy.keras, by --policy"
)


def main(options: TrainOptions) -> Path:
    """Train, save `policy.keras`, and keep what the report needs."""
    strategy = strategies.strategy(options.strategy)  # before any work
    task = tasks.of(options.data, options.task)
    options = _settled(options, task)
    reward = rewards.parse(options.reward)
    kind, algorithm = _learning(options.algorithm)
    exploring = exploration.parse(options.exploration)
    train, test = task.examples("train"), task.examples("test")
    with strategy.scope():
        policy = in_dtype(storage.load(options.policy), options.dtype)
        task.check(policy)
        policy.temperature = options.temperature or policy.temperature
        reference = _reference(policy, options.adapter)
        if options.gradient_checkpointing:
            policy.checkpoint_gradients()
        trainer = kind(
            policy,
            reward=reward,
            algorithm=algorithm,
            optimizer=_optimizer(options, algorithm),
            reference=reference,
            kl_loss=kl_loss.parse(options.kl),
            exploration=exploring,
            options=_trainer_options(options),
        )
        checkpoint = Checkpoint(
            trainer,
            options.out / "checkpoints",
            every=options.checkpoint_every,
            overwrite=options.overwrite,
        )
        watching = _watching(options, checkpoint, task, reward)
        checkpoint.remembered = watching
        data = trainer.prepare(train, options.batch_size)
        runs.take_up(
            options.out,
            "train",
            options,
            checkpoint,
            _free(options),
            {"steps": _LENGTH, "final_learning_rate": _LENGTH},
        )
        trainer.fit(
            data,
            options.steps,
            options.batch_size,
            callbacks=[*watching, *_logging(options, checkpoint), checkpoint],
        )
    path = options.out / runs.POLICY
    if checkpoint.writes:
        storage.save(policy, path)
        print(f"Policy: {path}")
        shown = test[: options.sample_answers]
        found = samples(trainer, shown) if shown else []
        files.write_json(options.out / "samples.json", found)
    return path


def _settled(options: TrainOptions, task: tasks.Task) -> TrainOptions:
    """The options with what the data and the task decide."""
    if not (options.reward or task.reward):
        raise TokenRLError(
            f"The task {type(task).__name__} has no reward of its own: say "
            "by --reward what counts."
        )
    return dataclasses.replace(
        options,
        task=tasks.name_for(options.data, options.task),
        reward=options.reward or task.reward,
    )


def _trainer_options(options: TrainOptions) -> TrainerOptions:
    return TrainerOptions(
        seed=options.seed,
        gradient_clip=options.gradient_clip,
        accumulation=options.accumulation,
        similar_lengths=options.like_lengths,
        overlap=options.overlap,
        reward_processes=options.reward_processes,
        jit=options.jit,
    )


def _reference(policy, adapter: str):
    """What KL is measured from; the policy gets its adapter, if it is to."""
    if not adapter:
        return policy.frozen_copy()
    made = policy.adapters[policy.put_adapter_on(adapter)]
    counts, base = policy.report(), made.begins_as_base
    print(
        f"{made!r}: {counts['trainable']:,} of {counts['parameters']:,} "
        "parameters learn; KL is measured from the policy "
        + ("without it." if base else "with it as it begins.")
    )
    return policy.reference() if base else policy.frozen_copy()


def _learning(expression: str) -> tuple[type[Trainer], Algorithm]:
    """The algorithm, and the trainer that learns by it."""
    if expression.partition("(")[0].strip() == "dqn":
        # TF-Agents is not everywhere.
        from tf_tokenrl.training.q_learning.trainer import QTrainer

        return QTrainer, q_learning.parse(expression)
    return Trainer, algorithms.parse(expression)


def _free(options: TrainOptions) -> set[str]:
    """Options that may change when a run goes on.

    More `steps` only where the learning rate does not depend on them: the
    run is then what a longer one would have been.
    """
    constant = options.learning_rate == options.final_learning_rate
    return _FREE | ({"steps"} if constant else set())


def _optimizer(options: TrainOptions, algorithm) -> keras.Optimizer:
    first, last = options.learning_rate, options.final_learning_rate
    if first == last:  # then a longer run is the same run, gone on with
        return Adam(first, epsilon=1e-5)
    updates = options.steps * algorithm.epochs * algorithm.minibatches
    schedule = keras.optimizers.schedules.PolynomialDecay(first, updates, last)
    return Adam(schedule, epsilon=1e-5)


def _watching(options: TrainOptions, checkpoint: Checkpoint, task, reward):
    """The callbacks that judge a run and can end it."""
    watching: list[keras.callbacks.Callback] = []
    if options.max_restores > 0:
        watching.append(DivergenceGuard(checkpoint, options.max_restores))
    if options.monitor_every > 0:
        watching.append(_monitor(options, task, reward))
    if options.early_stopping > 0:
        patience = options.early_stopping
        watching.append(EarlyStopping("reward", patience=patience))
    return watching


def _logging(options: TrainOptions, checkpoint: Checkpoint):
    """What tells people about a run; of several workers only the chief."""
    if not checkpoint.writes:
        return []
    return [
        ProgressBar(),
        CsvLog(options.out / "log.csv"),
        AnswersLog(
            checkpoint.trainer,
            options.out / "samples.jsonl",
            tensorboard=options.out / "tensorboard",
        ),
        TensorBoardLog(options.out / "tensorboard"),
    ]


def _monitor(options: TrainOptions, task, reward) -> RewardMonitor:
    """Watches the task's metrics that are no part of the reward."""
    rewarded = {repr(term) for _, _, term in reward.terms()}
    metrics = {n: rewards.parse(text) for n, text in task.metrics.items()}
    try:
        held_out = task.examples("validation")[:_MONITORED]
    except TokenRLError as error:
        raise TokenRLError(
            f"{error} (--watch.monitor-every 0 trains without them.)"
        ) from error
    return RewardMonitor(
        held_out,
        {n: m for n, m in metrics.items() if repr(m) not in rewarded},
        options.monitor_every,
        options.monitor_stops,
    )
