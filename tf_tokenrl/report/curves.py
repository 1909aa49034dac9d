"""The curves of a run as Plotly figures."""

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go

from tf_tokenrl.report.numbers import plain
from tf_tokenrl.report.read import Curve

_SHOWN_FIRST = ("reward", "kl", "entropy", "value_loss", "length")
_TITLES = {
    "reward": ("Reward", "per answer"),
    "kl": ("KL", "nats per answer"),
    "entropy": ("Entropy", "nats per token"),
    "value_loss": ("Value loss", ""),
    "length": ("Length", "tokens per answer"),
    "loss": ("Loss", ""),
    "policy_loss": ("Policy loss", ""),
    "stopped": ("Stopped", "fraction of answers"),
    "gradient_norm": ("Gradient norm", "before clipping"),
    "learning_rate": ("Learning rate", ""),
    "approximate_kl": ("KL of one step", "nats per token"),
    "ratio_clipped": ("Ratios clipped", "fraction of tokens"),
    "value_clipped": ("Values clipped", "fraction of tokens"),
    "tokens_per_second": ("Speed", "tokens per second"),
    "seconds": ("Time of a step", "seconds"),
}


def curves(log: dict[str, Curve]) -> tuple[list[dict], list[dict]]:
    """The figures everyone looks at, and all the others."""
    drawn = {name: _drawing(name, c) for name, c in log.items() if len(c.steps)}
    first = [drawn.pop(name) for name in _SHOWN_FIRST if name in drawn]
    return first, list(drawn.values())


def smooth(values: np.ndarray) -> np.ndarray:
    """Centred mean over a tenth of the run; half the window at the ends."""
    half = len(values) // 20
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    first = np.maximum(at - half, 0)
    end = np.minimum(at + half + 1, len(values))
    return (total[end] - total[first]) / (end - first)


def _drawing(name: str, curve: Curve) -> dict[str, Any]:
    title, unit = _TITLES.get(name, (name, ""))
    finite = np.isfinite(curve.values)
    steps, values = curve.steps[finite], curve.values[finite]
    mean = smooth(values)
    return {
        "id": f"curve-{name}",
        "name": name,
        "title": title,
        "unit": unit,
        "not_finite": int((~finite).sum()),
        "start": plain(mean[0]) if len(mean) else "",
        "end": plain(mean[-1]) if len(mean) else "",
        "figure": json.loads(_figure(steps, values, mean).to_json()),
    }


def _figure(steps, values, mean) -> go.Figure:
    mode = "lines" if len(steps) > 1 else "markers"
    raw = go.Scatter(x=steps, y=values, mode=mode, hoverinfo="skip")
    line = go.Scatter(
        x=steps,
        y=mean,
        mode=mode,
        customdata=values,
        hovertemplate="step %{x}<br>mean %{y:.4g}"
        "<br>this step %{customdata:.4g}<extra></extra>",
    )
    return go.Figure([raw, line], _layout())


def _layout() -> dict[str, Any]:
    # Colours are left to the page's style sheet, which knows dark from light.
    axis = {"fixedrange": True, "zeroline": False, "nticks": 5}
    return {
        "template": "none",
        "showlegend": False,
        "dragmode": False,
        "hovermode": "x",
        "margin": {"l": 48, "r": 12, "t": 8, "b": 28},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "hoverlabel": {"bgcolor": "#1d2430", "font": {"color": "#ffffff"}},
        "xaxis": {**axis, "showgrid": False},
        "yaxis": {**axis, "ticks": "outside", "tickcolor": "rgba(0,0,0,0)"},
    }
