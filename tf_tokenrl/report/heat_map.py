"""Sample answers as rows of tokens that can be coloured."""

import math
from typing import Any, NamedTuple

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.report.numbers import plain

QUANTITIES = {
    "reward": "",
    "advantage": "",
    "kl": "nats",
    "value": "expected return",
}


class Scale(NamedTuple):
    """A quantity that some sample has; its colours run from -limit to limit."""

    name: str
    title: str
    unit: str
    limit: float
    label: str


class Token(NamedTuple):
    """One token: its text, all numbers in words, and a share per colour."""

    text: str
    numbers: dict[str, str]
    hover: str
    shares: dict[str, float]


class Sample(NamedTuple):
    """One test prompt and the answers to it."""

    prompt: str
    answers: dict[str, str]
    tokens: list[Token]
    total: str


def scales(samples: list[dict[str, Any]]) -> list[Scale]:
    """One scale per quantity, the same for all samples."""
    found = []
    for name, unit in QUANTITIES.items():
        values = [abs(v) for s in samples for v in s.get(name) or ()]
        if values:
            limit = max(filter(math.isfinite, values), default=0.0)
            title = "KL" if name == "kl" else name.capitalize()
            found.append(Scale(name, title, unit, limit, plain(limit)))
    return found


def sample(row: dict[str, Any], known: list[Scale]) -> Sample:
    """A row of `samples.json`, ready to be drawn.

    Raises:
        TokenRLError: a list is not as long as the list of tokens.
    """
    texts = row.get("tokens") or []
    columns = {s: row[s.name] for s in known if row.get(s.name)}
    for scale, column in columns.items():
        if len(column) != len(texts):
            raise TokenRLError(
                f'A sample in samples.json has {len(texts)} "tokens" but '
                f'{len(column)} "{scale.name}" numbers; write it again.'
            )
    answers: dict[str, str] = {
        n: row[n] for n in ("reference", "before", "after") if n in row
    }
    return Sample(
        prompt=row.get("prompt", ""),
        answers=answers,
        tokens=[
            _token(text, {s: column[t] for s, column in columns.items()})
            for t, text in enumerate(texts)
        ],
        total=plain(math.fsum(row["reward"])) if row.get("reward") else "",
    )


def _token(text: str, values: dict[Scale, float]) -> Token:
    numbers = {s.name: plain(v, sign="+") for s, v in values.items()}
    words = (f"{s.title} {numbers[s.name]} {s.unit}".strip() for s in values)
    return Token(
        text=text,
        numbers=numbers,
        hover="\n".join(words),
        shares={s.name: _share(v, s.limit) for s, v in values.items()},
    )


def _share(value: float, limit: float) -> float:
    """Where a value lies on its scale, -1 to 1."""
    return round(value / limit, 3) if math.isfinite(value) and limit else 0.0
