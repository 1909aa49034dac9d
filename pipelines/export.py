"""Write a policy as a SavedModel that TensorFlow Serving runs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_tokenrl.models import storage
from tf_tokenrl.models.export import next_version
from tf_tokenrl.report.read import read_run


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and where to.

    Attributes:
        policy: a policy that `sft` or `train` wrote.
        model: folder of the model; a new version is made in it.
        version: number of the version; 0 takes the next free one.
    """

    policy: Path = Path("runs/demo/rl/policy.keras")
    model: Path = Path("savedmodels/headline")
    version: int = 0


def main(
    options: ExportOptions, metrics: Mapping[str, Any] | None = None
) -> Path:
    """Export and say where the SavedModel is.

    Args:
        options: what to export.
        metrics: figures for the model card, besides those of the run.
    """
    policy = storage.load(options.policy)
    path = next_version(options.model)
    if options.version:
        path = options.model / str(options.version)
    policy.export(path, known_of_run(options.policy.parent, metrics or {}))
    print(f"SavedModel: {path}")
    return path


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
    return known | {"metrics": _plain(found)} if found else known


def _plain(value: Any) -> Any:
    """The same without numbers that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
