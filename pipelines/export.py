"""Write a policy as a SavedModel that TensorFlow Serving runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_tokenrl import files
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.export.savedmodel import next_version
from tf_tokenrl.flow import Example
from tf_tokenrl.options.export import ExportOptions
from tf_tokenrl.parity import golden_answers, served
from tf_tokenrl.policies import storage
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.policies.generative import GenerativePolicy
from tf_tokenrl.report.read import read_run


def main(
    options: ExportOptions, metrics: Mapping[str, Any] | None = None
) -> Path:
    """Export and say where the SavedModel is.

    Args:
        options: what to export.
        metrics: figures for the model card, besides those of the run.
    """
    asked = _read(options.prompts) if options.prompts else []
    policy = storage.load(options.policy)
    write = _writer(policy, options)
    path = next_version(options.model)
    if options.version:
        path = options.model / str(options.version)
    write(path, known_of_run(options.policy.parent, metrics or {}))
    print(f"SavedModel: {path}")
    if asked:
        kept = golden_answers.beside(path)
        golden_answers.write(kept, served.record(policy, asked))
        print(f"Its answers: {kept}")
    return path


def _writer(policy: Policy, options: ExportOptions):
    if not options.reward_model:
        return policy.export
    if options.prompts:
        raise TokenRLError(
            "A reward model writes no answers: give --prompts or "
            "--reward-model, not both."
        )
    if not isinstance(policy, GenerativePolicy):
        raise TokenRLError(
            f'"{options.policy}" holds a {type(policy).__name__}, which '
            "judges no answers: export a policy that writes."
        )
    return policy.export_reward_model


def known_of_run(folder: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What the model card says of the run that left its policy in `folder`.

    Args:
        folder: of a run; one without `log.csv` tells nothing.
        metrics: figures from elsewhere; they go before those of the run.
    """
    known: dict[str, Any] = {}
    found: dict[str, Any] = {}
    if (folder / "log.csv").exists():
        run = read_run(folder)
        for name in ("task", "data", "reward"):
            if name in run.options:
                known[name] = run.options[name]
        known["run"] = {
            "name": run.name,
            "options": run.options,
            "versions": run.versions,
        }
        curves = {n: c for n, c in run.log.items() if len(c.values)}
        found = {name: c.values[-1].item() for name, c in curves.items()}
        found |= run.results
    found |= metrics
    return known | {"metrics": found} if found else known


def _read(file: Path) -> list[Example]:
    lines = files.read_lines(file, "prompts")
    examples = [Example(line) for line in lines if line.strip()]
    if not examples:
        raise TokenRLError(f'"{file}" holds no prompts: write one on a line.')
    return examples
