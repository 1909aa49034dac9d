"""The whole circle on text that is already on this machine.

data -> supervised start -> reinforcement -> export -> serve -> query
"""

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tf_tokenrl import evaluation, files, rewards, runs, tasks
from tf_tokenrl.evaluation import summary
from tf_tokenrl.options.demo import DemoOptions
from tf_tokenrl.parity import golden_answers, served
from tf_tokenrl.pipelines import export, prepare, report, sft, train
from tf_tokenrl.policies import storage
from tf_tokenrl.tasks.headline import Headline


def main(options: DemoOptions) -> Path:
    """Go round once; write `results.json` and the report."""
    seconds: dict[str, float] = {}
    data, rl = options.out / "data", options.out / "rl"
    with _stage("prepare", seconds):
        prepare.main(_prepare_options(options, data))
    with _stage("supervised", seconds):
        before = sft.main(_sft_options(options, data))
    with _stage("reinforcement", seconds):
        after = train.main(_train_options(options, data, rl, before))
    with _stage("supervised_longer", seconds):
        limit = seconds["reinforcement"]
        longer = sft.main(_longer_options(options, data, before, limit))
    policies = {"before": before, "supervised_longer": longer, "after": after}
    with _stage("evaluate", seconds):
        answers = _answer(data, policies)
        results: dict[str, Any] = _measure(answers)
    with _stage("export", seconds):
        saved = export.main(
            export.ExportOptions(after, options.savedmodels), results["after"]
        )
    with _stage("serve", seconds):
        asked = answers["after"].examples[: options.parity_prompts]
        kept = served.record(storage.load(after), asked)
        golden_answers.write(golden_answers.beside(saved), kept)
        results["served_equals_trainer"] = served.served_equals_trainer(
            kept, saved
        )
    results |= {"seconds": seconds, "savedmodel": str(saved)}
    return _finish(options, results, answers, rl)


@contextlib.contextmanager
def _stage(name: str, seconds: dict[str, float]) -> Iterator[None]:
    print(f"\n== {name.replace('_', ' ')}", flush=True)
    start = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - start, 1)


def _prepare_options(options: DemoOptions, data: Path):
    return prepare.PrepareOptions(
        data=options.data,
        source=options.source,
        target=options.target,
        out=data,
        vocabulary_size=options.vocabulary_size,
        max_prompt_tokens=options.max_prompt_tokens,
        max_answer_tokens=options.max_new_tokens,
        limit=options.limit,
        seed=options.seed,
        overwrite=True,
    )


def _sft_options(options: DemoOptions, data: Path):
    return sft.SftOptions(
        data=data,
        out=options.out / "sft",
        overwrite=True,
        model=options.model,
        max_prompt_tokens=options.max_prompt_tokens,
        max_new_tokens=options.max_new_tokens,
        epochs=options.epochs,
        learning_rate=options.supervised_learning_rate,
        seed=options.seed,
    )


def _longer_options(options: DemoOptions, data: Path, start: Path, limit):
    """The same start, given as long again as reinforcement learning took."""
    return dataclasses.replace(
        _sft_options(options, data),
        out=options.out / "sft_longer",
        start=start,
        learning_rate=options.supervised_learning_rate / 10,
        warmup=0,
        epochs=1000,
        patience=1000,
        seconds=limit,
    )


def _train_options(options: DemoOptions, data: Path, out: Path, start: Path):
    return train.TrainOptions(
        policy=start,
        data=data,
        out=out,
        overwrite=True,
        reward=options.reward,
        algorithm=options.algorithm,
        temperature=options.temperature,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )


def _answer(data: Path, policies: dict[str, Path]):
    """Each policy's greedy answers to the whole test split."""
    examples = tasks.get("headline", data=str(data)).examples("test")
    return {
        name: evaluation.answer(storage.load(path), examples)
        for name, path in policies.items()
    }


def _measure(answers) -> dict[str, dict]:
    metrics = {n: rewards.parse(text) for n, text in Headline.metrics.items()}
    return {
        name: {
            metric: estimate._asdict()
            for metric, estimate in evaluation.measure(given, metrics).items()
        }
        for name, given in answers.items()
    }


def _finish(options: DemoOptions, results: dict, answers, rl: Path) -> Path:
    """Gather what the report shows, write it, and tell what came out."""
    for name in ("log.csv", "samples.json"):
        shutil.copyfile(rl / name, options.out / name)
    runs.record(options.out, "demo", options)
    results["report"] = str(options.out / "report.html")
    files.write_json(options.out / "results.json", results)
    print()
    print(summary.table(results))
    print(summary.examples(answers, count=3))
    report.main(report.ReportOptions(options.out))
    print(f"Results: {options.out / 'results.json'}")
    print(f"SavedModel: {results['savedmodel']}")
    return options.out / "results.json"
