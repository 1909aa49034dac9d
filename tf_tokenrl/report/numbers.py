"""Numbers as people read them."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

_MINUS = "\N{MINUS SIGN}"


def plain(value: float, sign: str = "") -> str:
    """Three decimals or so: "0.254", "14.2", "1.2e-05"; `sign` "+" or ""."""
    if value == 0:
        return "0"
    size = abs(value)
    if not math.isfinite(size):
        return str(value)
    if 0 < size < 0.001 or size >= 1e6:
        text = f"{value:{sign}.1e}"
    else:
        decimals = 3 if size < 10 else 1 if size < 1000 else 0
        text = f"{value:{sign},.{decimals}f}"
    return text.replace("-", _MINUS)


def percent(value: float) -> str:
    """A relative change: 0.194 -> "+19.4 %"."""
    return f"{value:+.1%}".replace("-", _MINUS).replace("%", "\N{NBSP}%")


def duration(seconds: float) -> str:
    """Seconds as "8.3 s", "12 min 4 s" or "2 h 5 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple]:
    """Pairs of dotted name and value of nested dicts."""
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
