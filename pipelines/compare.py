"""Reinforcement against supervised learning that costs as much."""

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from tf_tokenrl import files, runs
from tf_tokenrl.options.compare import CompareOptions
from tf_tokenrl.options.sft import SftOptions
from tf_tokenrl.pipelines import evaluate, sft, train

STAGES = ("supervised", "supervised_longer", "reinforced")


def main(options: CompareOptions) -> Path:
    """Run and measure; write `results.json` after each seed."""
    runs.record(options.out, "compare", options)
    path = options.out / "results.json"
    found: dict[str, dict] = {}
    for seed in range(options.seed, options.seed + options.seeds):
        found[str(seed)] = _compared(options, seed)
        gains = {
            name: differences([one[name] for one in found.values()])
            for name in ("over_supervised", "over_supervised_longer")
        }
        files.write_json(path, {"seeds": found, "gains": gains})
    for name, gain in gains.items():
        print(f"\nReinforced {name.replace('_', ' ')}:")
        for metric, value in gain.items():
            print(f"{metric:22} {value['mean']:+.4f}  {_interval(value)}")
    print(f"Results: {path}")
    return path


def differences(gains: Sequence[dict[str, float]]) -> dict[str, dict]:
    """Means over seeds, and where there are two or more their 95% interval.

    The interval is Student's, over the seeds.
    """
    found = {}
    for metric in gains[0]:
        values = np.array([gain[metric] for gain in gains])
        found[metric] = {"mean": float(values.mean())}
        if len(values) > 1:
            width = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
            found[metric]["low"] = float(values.mean() - width)
            found[metric]["high"] = float(values.mean() + width)
    return found


def _interval(value: dict[str, float]) -> str:
    if "low" not in value:
        return "(one seed)"
    return f"[{value['low']:+.4f}, {value['high']:+.4f}]"


def _compared(options: CompareOptions, seed: int) -> dict[str, dict]:
    """One seed: what each policy scores, and what reinforcement gained."""
    folder = options.out / f"seed-{seed}"
    shared: dict[str, Any] = {
        "data": options.data,
        "task": options.task,
        "seed": seed,
    }
    start = dataclasses.replace(
        options.sft, **shared, out=folder / "supervised"
    )
    policy, cost = _timed(sft.main, start)
    reinforced, budget = _timed(
        train.main,
        dataclasses.replace(
            options.train,
            **shared,
            out=folder / "reinforced",
            policy=policy,
        ),
    )
    longer, spent = _timed(sft.main, _longer(options, start, cost, budget))
    policies = dict(zip(STAGES, (policy, longer, reinforced), strict=True))
    scores = {name: _scores(options, policies[name]) for name in STAGES}
    seconds = dict(zip(STAGES, (cost, spent, budget), strict=True))
    after = scores["reinforced"]
    return {
        "scores": scores,
        "processor_seconds": seconds,
        **{
            f"over_{name}": {k: after[k] - scores[name][k] for k in after}
            for name in STAGES[:2]
        },
    }


def _longer(options: CompareOptions, start: SftOptions, cost, budget):
    """As many whole epochs as cost at least what reinforcement did.

    Its learning rate falls to 0 as that of the start did, so that nothing
    is cut off.
    """
    epochs = math.ceil(budget * start.epochs / cost)
    return dataclasses.replace(
        start,
        out=start.out.with_name("supervised_longer"),
        start=start.out / "policy.keras",
        learning_rate=options.longer_learning_rate,
        warmup=0,
        epochs=epochs,
    )


def _timed(command, options) -> tuple[Path, float]:
    """What a command returns, and the processor seconds that it took."""
    before = time.process_time()
    return command(options), time.process_time() - before


def _scores(options: CompareOptions, policy: Path) -> dict[str, float]:
    """Every metric as one number, with macro F1 where there are labels."""
    print(f"\n== {policy.parent.name}, {options.split} split", flush=True)
    results = evaluate.main(
        evaluate.EvaluateOptions(
            policy,
            options.data,
            options.task,
            options.split,
            out=policy.parent / "scores.json",
        )
    )
    found = {}
    for name, value in results.items():
        if "mean" in value:
            found[name] = value["mean"]
        else:
            found[f"{name}_micro_f1"] = value["micro"]["f1"]
            found[f"{name}_macro_f1"] = value["macro"]["f1"]
    return found
