"""Amounts for characters, put on the sampled tokens that hold them."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tf_tokenrl.flow import Response


class Span(NamedTuple):
    """An amount for the characters `text[start:end]` of an answer."""

    start: int
    end: int
    amount: float


def on_spans(response: Response, spans: Iterable[Span]) -> list[float]:
    """One number per chosen token: each amount, shared by its tokens.

    The amount of a span is divided evenly among the tokens that added one of
    its characters, found by `response.offsets`; nothing is tokenised again.
    Where no token did (the span is empty), it goes to the last token that
    begins at or before it. The numbers add up to the sum of the amounts, if
    there is a token at all.
    """
    scores = [0.0] * len(response.offsets)
    for span in spans:
        tokens = _tokens(response.offsets, span)
        for token in tokens:
            scores[token] += span.amount / len(tokens)
    return scores


def gains(response: Response, worth: Callable[[str], float]) -> list[float]:
    """What each chosen token adds to the worth of the answer so far.

        r_t = worth(text up to t) - worth(text up to t - 1),   0 before all

    A token earns the same whatever follows it, and the numbers add up to the
    worth of the whole text, if there is a token at all.
    """
    ends = [end for _, end in response.offsets]
    known = {end: worth(response.text[:end]) for end in dict.fromkeys(ends)}
    worths = [known[end] for end in ends]
    return [
        now - before
        for before, now in zip([0.0, *worths], worths, strict=False)
    ]


def on_last_token(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`values` `[B]` on the last chosen token of each row: float32 `[B, T]`.

    A row without a chosen token gets nothing.
    """
    chosen_from_here = np.cumsum(mask[:, ::-1], axis=-1)[:, ::-1]
    last = mask & (chosen_from_here == 1)
    return np.where(last, values[:, None], 0).astype(np.float32)


def words(text: str) -> list[tuple[int, int]]:
    """Where each word of `text.split()` starts and ends."""
    return [match.span() for match in re.finditer(r"\S+", text)]


def _tokens(offsets: Sequence[tuple[int, int]], span: Span) -> list[int]:
    found = [
        token
        for token, (start, end) in enumerate(offsets)
        if start < span.end and span.start < end
    ]
    if found or not offsets:
        return found
    before = [t for t, (start, _) in enumerate(offsets) if start <= span.start]
    return before[-1:] or [0]
