"""Splits that depend on a text alone, never on its neighbours or an order."""

import hashlib
import re

SPLITS = ("train", "validation", "test")
_TRAIN, _VALIDATION = 0.8, 0.9  # where the first two splits end
_WORD = re.compile(r"\w+")


def normal_form(text: str) -> str:
    """What is left of a text without case, punctuation and white space.

    Two texts with the same normal form count as the same text.
    """
    return " ".join(_WORD.findall(text.casefold())) or text.strip()


def fraction(key: str) -> float:
    """A number in [0, 1), spread evenly and the same on every machine."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def split_of(key: str) -> str:
    """80 % of all keys are "train", 10 % "validation", 10 % "test"."""
    place = fraction(key)
    if place < _TRAIN:
        return "train"
    return "validation" if place < _VALIDATION else "test"
