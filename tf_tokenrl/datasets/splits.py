"""Splits that depend on a text alone, never on its neighbours or an order."""

import hashlib
import re
import unicodedata

SPLITS = ("train", "validation", "test")
_TRAIN, _VALIDATION = 0.8, 0.9  # where the first two splits end
_WORD = re.compile(r"\w+")
_LAST = re.compile(r"(?<=\w)[.\u3002\u0964]+$")  # full stops of three scripts


def normal_form(text: str) -> str:
    """A text without letter case, extra white space and its last full stop.

    Two texts with the same normal form count as the same text, and one of
    them is dropped: so every sign that can carry meaning stays, as in "2 + 2"
    and "2 * 2", "C" and "C++", or vowel signs and emoji.
    """
    text = unicodedata.normalize("NFD", text)
    text = unicodedata.normalize("NFD", text.casefold())
    return _LAST.sub("", " ".join(text.split()))


def loose_form(text: str) -> str:
    """The letters and digits of a text.

    Texts with the same loose form share a split, though they may differ: it
    keeps relatives together and never drops one.
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
