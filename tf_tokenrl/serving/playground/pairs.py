"""Two answers side by side: which stood where, and who has voted."""

import collections
import random
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any

SIDES = ("left", "right")
_MOST = 10_000  # pairs that are remembered


class Pairs:
    """Deals sides, and tells votes that were blind from those that were not.

    A pair that this process does not know, or on which somebody has voted
    (and seen who wrote what), counts as not blind.

    Args:
        random_source: draws the sides.
    """

    def __init__(self, random_source: random.Random | None = None):
        self._random = random_source or secrets.SystemRandom()
        self._lock = threading.Lock()
        # Keys of both answers -> key -> side; what has been voted on is gone.
        self._open: collections.OrderedDict[frozenset, dict[str, str]] = (
            collections.OrderedDict()
        )

    def deal(self, labels: Sequence[str]) -> dict[str, str]:
        """Side -> label, either way with the same probability."""
        shuffled = self._random.sample(list(labels), 2)
        return dict(zip(SIDES, shuffled, strict=True))

    def show(self, sides: Mapping[str, str]) -> None:
        """Two answers are on a page now: key -> side."""
        with self._lock:
            self._open[frozenset(sides)] = dict(sides)
            if len(self._open) > _MOST:
                self._open.popitem(last=False)

    def place(self, judgement: Mapping[str, Any]) -> dict[str, Any]:
        """A judgement with what is known here of a pair: side and blindness."""
        if judgement.get("kind") != "pair":
            return dict(judgement)
        sides = self._open.get(_keys(judgement), {})
        side = sides.get(str(judgement.get("answer")), "")
        return {**judgement, "side": side, "blind": bool(sides)}

    def close(self, judgement: Mapping[str, Any]) -> None:
        """The vote is stored, and the rater learns who wrote what."""
        with self._lock:
            self._open.pop(_keys(judgement), None)


def _keys(judgement: Mapping[str, Any]) -> frozenset:
    return frozenset(str(judgement.get(n)) for n in ("answer", "other"))
