"""Test scores before and after, and the sentence that sums them up."""

from typing import Any, NamedTuple

from tf_tokenrl.report.numbers import percent, plain

STAGES = {
    "before": "Before",
    "supervised_longer": "Supervised for longer",
    "after": "After",
}


class Score(NamedTuple):
    """A mean with its interval, and where a plot in per cent puts them."""

    stage: str
    title: str
    mean: str
    interval: str
    left: float
    width: float
    dot: float


class Row(NamedTuple):
    """One metric in all stages that have it."""

    metric: str
    scores: list[Score]
    change: str
    apart: bool | None


class Verdict(NamedTuple):
    """The main figure and the words of the sentence around it."""

    metric: str
    figure: str
    verb: str
    before: str
    after: str
    apart: bool
    longer: str | None


def rows(results: dict[str, Any]) -> list[Row]:
    """One row per metric, in the order the results name them."""
    stages = [stage for stage in STAGES if results.get(stage)]
    metrics = {metric: None for s in stages for metric in results[s]}
    return [_row(metric, results, stages) for metric in metrics]


def verdict(results: dict[str, Any]) -> Verdict | None:
    """What became of the first metric; None where a score is missing."""
    before, after = results.get("before") or {}, results.get("after") or {}
    metric = next((m for m in before if m in after), None)
    if metric is None:
        return None
    old, new = before[metric], after[metric]
    gain = new["mean"] - old["mean"]
    longer = (results.get("supervised_longer") or {}).get(metric)
    return Verdict(
        metric=metric,
        figure=_change(old, new),
        verb="raised" if gain > 0 else "lowered" if gain < 0 else "left",
        before=plain(old["mean"]),
        after=plain(new["mean"]),
        apart=_apart(old, new),
        longer=plain(longer["mean"]) if longer else None,
    )


def _row(metric: str, results: dict[str, Any], stages: list[str]) -> Row:
    found = {s: results[s][metric] for s in stages if metric in results[s]}
    low = min(score["low"] for score in found.values())
    high = max(score["high"] for score in found.values())
    both = "before" in found and "after" in found
    return Row(
        metric=metric,
        scores=[_score(s, score, low, high) for s, score in found.items()],
        change=_change(found["before"], found["after"]) if both else "",
        apart=_apart(found["before"], found["after"]) if both else None,
    )


def _score(stage: str, score: dict[str, float], low: float, high: float):
    span = (high - low) or 1.0
    return Score(
        stage=stage,
        title=STAGES[stage],
        mean=plain(score["mean"]),
        interval=f"{plain(score['low'])} to {plain(score['high'])}",
        left=100 * (score["low"] - low) / span,
        width=100 * (score["high"] - score["low"]) / span,
        dot=100 * (score["mean"] - low) / span,
    )


def _change(old: dict[str, float], new: dict[str, float]) -> str:
    """Relative where there is something to relate to, else the difference."""
    gain = new["mean"] - old["mean"]
    if old["mean"] > 0:
        return percent(gain / old["mean"])
    return plain(gain, sign="+")


def _apart(old: dict[str, float], new: dict[str, float]) -> bool:
    return new["low"] > old["high"] or old["low"] > new["high"]
