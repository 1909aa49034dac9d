"""Train a judge of answers on what people preferred, and export it."""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_tokenrl import files, runs
from tf_tokenrl.callbacks import (
    BestPolicy,
    CsvLog,
    DivergenceGuard,
    EpochLines,
    ProgressBar,
)
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.datasets import readers
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.evaluation import reliability
from tf_tokenrl.export.savedmodel import next_version
from tf_tokenrl.flow import Example
from tf_tokenrl.options.reward_model import RewardModelOptions
from tf_tokenrl.policies import storage, value_head
from tf_tokenrl.policies.generative import GenerativePolicy
from tf_tokenrl.runtime import strategies
from tf_tokenrl.training import objectives
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.base import Objective
from tf_tokenrl.training.objectives.pairwise import Pairwise
from tf_tokenrl.training.objectives.pointwise import Pointwise
from tf_tokenrl.training.updates.adam import Adam

_FREE = {"out", "strategy", "accumulation", "checkpoint_every"}
_FREE |= {"resume", "overwrite", "patience", "model"}
_REMEDY = "a lower --learning-rate"


def main(options: RewardModelOptions) -> list[Path]:
    """Train every member, calibrate, measure and export it."""
    strategy = strategies.strategy(options.strategy)
    objective = objectives.parse(options.objective)
    if not isinstance(objective, Pairwise | Pointwise):
        raise TokenRLError(
            f"{type(objective).__name__} trains no judge: choose pairwise or "
            "pointwise."
        )
    train, validation = (
        _examples(options, objective, split)
        for split in ("train", "validation")
    )
    with strategy.scope():
        members = [
            _member(options, objective, train, validation, number)
            for number in range(options.members)
        ]
    return members


def _member(
    options: RewardModelOptions,
    objective: Objective,
    train: list[Example],
    validation: list[Example],
    number: int,
) -> Path:
    """One model, from its fresh head to its file."""
    out = (
        options.out / f"member-{number}" if options.members > 1 else options.out
    )
    seed = options.seed + number
    keras.utils.set_random_seed(seed)
    policy = storage.load(options.start)
    if not isinstance(policy, GenerativePolicy):
        raise TokenRLError(
            f'"{options.start}" holds a {type(policy).__name__}, which reads '
            "no answers: start from a policy that writes."
        )
    value_head.make_fresh(policy, seed)
    kept, held_out = (
        _usable(objective, policy, rows) for rows in (train, validation)
    )
    steps = options.epochs * math.ceil(len(kept) / options.batch_size)
    rate = keras.optimizers.schedules.PolynomialDecay(
        options.learning_rate, steps, 0.0
    )
    learner = Learner(
        policy,
        objective,
        Adam(rate, epsilon=1e-5),
        gradient_clip=options.gradient_clip,
        accumulation=options.accumulation,
        seed=seed,
    )
    checkpoint = Checkpoint(
        learner,
        out / "checkpoints",
        every=options.checkpoint_every,
        overwrite=options.overwrite,
    )
    best = BestPolicy(
        out / "uncalibrated.keras" if checkpoint.writes else None,
        "validation/loss",
        options.patience,
    )
    guard = DivergenceGuard(checkpoint, remedy=_REMEDY)
    checkpoint.remembered = [guard, best]
    runs.take_up(out, "reward-model", options, checkpoint, _FREE)
    telling = [EpochLines(), ProgressBar(), CsvLog(out / "log.csv")]
    telling = telling if checkpoint.writes else []
    learner.fit(
        kept,
        options.epochs,
        options.batch_size,
        held_out,
        [guard, best, *telling, checkpoint],
    )
    return _finish(options, out, objective, best, held_out)


def _finish(options, out: Path, objective, best: BestPolicy, held_out) -> Path:
    """Calibrate, measure, save and export the best model."""
    path = out / runs.POLICY
    if best.path is None:
        return path
    if best.best is None:
        raise TokenRLError(
            f'No model in "{out}" had a finite validation loss: begin again '
            f"with {_REMEDY}."
        )
    policy = storage.load(best.path)
    given = _scores(policy, objective, held_out)
    mean, deviation = value_head.calibrate(policy, np.concatenate(given))
    results: dict[str, Any] = {
        "validation_loss": best.best,
        "validation_rows": len(held_out),
        "mean_before": mean,
        "deviation_before": deviation,
    }
    if isinstance(objective, Pairwise):
        gaps = given[0] - given[1]  # before calibration, as trained
        bins = reliability.reliability(gaps)
        results |= {
            "accuracy": float(np.mean(0.5 * (1 + np.sign(gaps)))),
            "calibration_error": reliability.expected_error(bins),
            "reliability": [b._asdict() for b in bins],
        }
        print(f"Accuracy {results['accuracy']:.3f} of {len(gaps)} pairs.")
        print(reliability.table(bins))
    files.write_json(out / "results.json", results)
    storage.save(policy, path)
    print(f"Reward model: {path}")
    if options.model is not None:
        version = next_version(options.model)
        policy.export_reward_model(version, {"metrics": results})
        print(f"SavedModel: {version}")
    return path


def _scores(policy, objective, held_out: list[Example]) -> list[np.ndarray]:
    """What a policy gives every first answer, and every second if any."""
    found = []
    sides = 2 if isinstance(objective, Pairwise) else 1
    for side in range(sides):
        scores = []
        for start in range(0, len(held_out), 64):
            rows = held_out[start : start + 64]
            pairs = policy.encode_pairs(
                [e.prompt for e in rows], [e.references[side] for e in rows]
            )
            values = policy.score(pairs).values.numpy()
            last = pairs.mask.sum(-1) - 1
            scores.append(values[np.arange(len(rows)), last])
        found.append(np.concatenate(scores))
    return found


def _examples(
    options: RewardModelOptions, objective: Objective, split: str
) -> list[Example]:
    """The rows of a split, all judgements of a prompt on the same side."""
    rows = readers.read(options.data, split, options.prompt)

    def text(row: dict, field: str) -> str:
        return readers.texts(row, field, options.data)[0]

    if isinstance(objective, Pairwise):
        return [
            Example(
                text(row, options.prompt),
                (text(row, options.chosen), text(row, options.rejected)),
                f"{split}-{index}",
            )
            for index, row in enumerate(rows)
        ]
    return [
        Example(
            text(row, options.prompt),
            (text(row, options.answer),),
            f"{split}-{index}:{text(row, options.score)}",
        )
        for index, row in enumerate(rows)
    ]


def _usable(objective, policy, examples: list[Example]) -> list[Example]:
    kept = objective.usable(policy, examples)
    if left := len(examples) - len(kept):
        print(f"{left} of {len(examples)} pairs are equal; they are left out.")
    return kept
