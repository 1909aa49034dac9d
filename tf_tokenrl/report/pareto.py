"""Several runs compared by several objectives at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from tf_tokenrl import files
from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.report.numbers import plain
from tf_tokenrl.report.read import Run, read_run


class Point(NamedTuple):
    """One run and what it reached.

    Attributes:
        name: of the run's folder.
        values: objective -> mean.
        best: whether no other run is better in one objective and at least as
            good in all others.
    """

    name: str
    values: dict[str, float]
    best: bool


def compare(
    runs: Sequence[Path], maximize: Sequence[str], minimize: Sequence[str]
) -> list[Point]:
    """What each run reached, and whether it lies on the Pareto front.

    An objective is a metric of the run's `results.json`, as `evaluate --out`
    and the demo write it (there, the one after training); else a column of
    its `log.csv`, of which the mean over the last tenth of the steps counts.

    Raises:
        TokenRLError: no run or objective is named, or a run lacks one.
    """
    objectives = [*maximize, *minimize]
    if not runs or not objectives:
        raise TokenRLError(
            "Name runs and objectives, as in --runs runs/a runs/b --maximize "
            "rouge_l --minimize length."
        )
    found = [
        {name: _value(read_run(run), run, name) for name in objectives}
        for run in runs
    ]
    signs = np.array([1.0] * len(maximize) + [-1.0] * len(minimize))
    best = front(signs * [[row[name] for name in objectives] for row in found])
    rows = zip(runs, found, best, strict=True)
    return [Point(r.resolve().name, v, bool(b)) for r, v, b in rows]


def front(gains: np.ndarray) -> np.ndarray:
    """Which rows of `gains` `[N, K]`, more being better, none dominates.

    Row a dominates row b where it is nowhere less and somewhere more.

    Returns:
        bool `[N]`.
    """
    no_less = (gains[:, None] >= gains[None]).all(-1)
    more = (gains[:, None] > gains[None]).any(-1)
    dominated = np.any(no_less & more, axis=0)
    return np.logical_not(dominated)


def table(points: Sequence[Point]) -> str:
    """The runs as lines of text, those of the front marked."""
    names = list(points[0].values)
    rows = [["run", *names, "front"]]
    for point in points:
        values = [plain(point.values[name]) for name in names]
        rows.append([point.name, *values, "yes" if point.best else ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            [row[0].ljust(widths[0])]
            + [x.rjust(w) for x, w in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def draw(points: Sequence[Point], path: Path) -> Path:
    """Write the first two objectives as one page that needs no network.

    Raises:
        TokenRLError: there is only one objective.
    """
    names = list(points[0].values)[:2]
    if len(names) < 2:
        raise TokenRLError("A picture needs two objectives: name another one.")
    figure = go.Figure(layout={"template": "none", "showlegend": True})
    for best, title in ((True, "front"), (False, "dominated")):
        part = [point for point in points if point.best == best]
        part.sort(key=lambda point: point.values[names[0]])
        figure.add_scatter(
            x=[point.values[names[0]] for point in part],
            y=[point.values[names[1]] for point in part],
            text=[_escaped(point.name) for point in part],
            mode="lines+markers+text" if best else "markers+text",
            textposition="top center",
            name=title,
        )
    figure.update_xaxes(title=_escaped(names[0]))
    figure.update_yaxes(title=_escaped(names[1]))
    return files.write_text(path, figure.to_html(include_plotlyjs=True))


def _value(run: Run, path: Path, name: str) -> float:
    results = run.results.get("after") or run.results
    metrics = {
        key: float(value["mean"])
        for key, value in results.items()
        if isinstance(value, Mapping) and value.get("mean") is not None
    }
    if name in metrics:
        return metrics[name]
    if name not in run.log or not len(run.log[name].values):
        problem = unknown("objective", name, metrics | run.log)
        raise TokenRLError(f'Run "{path}": {problem}')
    values = run.log[name].values
    return float(values[-max(len(values) // 10, 1) :].mean())


def _escaped(text: str) -> str:
    """Plotly reads some markup in texts."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
