"""What a run left in its folder."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tf_tokenrl import files
from tf_tokenrl.errors import TokenRLError


class Curve(NamedTuple):
    """One log over the steps.

    Attributes:
        steps: int64 `[N]`, finished steps, of those that have a value.
        values: float64 `[N]`.
    """

    steps: np.ndarray
    values: np.ndarray


class Run(NamedTuple):
    """The files of a run; what is missing is empty, the log never is."""

    name: str
    log: dict[str, Curve]
    results: dict[str, Any]
    samples: list[dict[str, Any]]
    options: dict[str, Any]
    versions: dict[str, str]


def read_run(run: Path) -> Run:
    """Reads `log.csv` and the JSON files beside it.

    Raises:
        TokenRLError: the log is missing or empty, or a file is damaged.
    """
    return Run(
        name=run.resolve().name,
        log=_log(run / "log.csv"),
        results=_json(run / "results.json", {}),
        samples=_json(run / "samples.json", []),
        options=_json(run / "options.json", {}),
        versions=_json(run / "versions.json", {}),
    )


def _log(path: Path) -> dict[str, Curve]:
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "step"] if rows else []
    if not names:
        raise TokenRLError(
            f'There is nothing to report: "{path.parent}" has no log.csv with '
            "a finished step; train there first or name another run folder."
        )
    try:
        return {name: _curve(name, rows) for name in names}
    except (KeyError, ValueError) as error:
        raise TokenRLError(
            f'"{path}" is not the log of a run ({error}); mend or delete the '
            "row that has no number there."
        ) from error


def _curve(name: str, rows: list[dict[str, str]]) -> Curve:
    points = [(int(r["step"]), float(r[name])) for r in rows if r[name]]
    steps, values = zip(*points, strict=True) if points else ((), ())
    return Curve(np.array(steps, int), np.array(values, float))


def _json(path: Path, default: Any) -> Any:
    return files.read_json(path, type(default)) if path.exists() else default
