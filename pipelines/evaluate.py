"""How good are a policy's greedy answers?"""

from dataclasses import dataclass
from pathlib import Path

from tf_tokenrl import evaluation, rewards, runs, tasks
from tf_tokenrl.models import storage


@dataclass(frozen=True)
class EvaluateOptions:
    """Which policy, and on what.

    Attributes:
        policy: a policy that `sft` or `train` wrote.
        data: a folder that `prepare` wrote.
        task: name of a task, or "module:Class".
        split: "test", "validation" or "train".
        limit: most examples; 0 takes all.
        batch_size: prompts answered together.
        out: JSON file for the figures; by default they are only printed.
    """

    policy: Path = Path("runs/demo/rl/policy.keras")
    data: Path = Path("runs/demo/data")
    task: str = "headline"
    split: str = "test"
    limit: int = 0
    batch_size: int = 64
    out: Path | None = None


def main(options: EvaluateOptions) -> dict[str, dict[str, float]]:
    """Print each metric's mean and its 95% interval."""
    task = tasks.get(options.task, data=str(options.data))
    examples = task.examples(options.split)[: options.limit or None]
    metrics = {n: rewards.parse(text) for n, text in task.metrics.items()}
    policy = storage.load(options.policy)
    found = evaluation.evaluate(policy, examples, metrics, options.batch_size)
    for name, estimate in found.items():
        mean, low, high = estimate
        print(f"{name:10} {mean:8.4f}  [{low:.4f}, {high:.4f}]")
    results = {name: value._asdict() for name, value in found.items()}
    if options.out is not None:
        runs.write_json(options.out, results)
    return results
