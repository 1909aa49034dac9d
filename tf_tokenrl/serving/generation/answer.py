"""How much of an unfinished answer may be emitted."""

import codecs
from collections.abc import Sequence
from typing import NamedTuple

_BROKEN = "\ufffd"


class Emitted(NamedTuple):
    """What one advance adds to an answer.

    Attributes:
        text: characters to send now; their last one is complete.
        tokens: how many of the advance's tokens belong to the answer.
        finish: "" while it goes on, else "stop" or "length".
    """

    text: str
    tokens: int
    finish: str


class Answer:
    """One answer as it grows.

    Characters are held back while they may still change: those whose bytes
    are not complete, and those that may be the beginning of a stop text. The
    pieces emitted are together the answer up to the first stop text.

    Args:
        stop: texts that end the answer and are not part of it.
    """

    def __init__(self, stop: Sequence[str] = ()):
        self._stop = tuple(filter(None, stop))
        self._emitted = 0

    def add(
        self, texts: Sequence[bytes], ended: bool, stopped: bool
    ) -> Emitted:
        """Go on by the tokens of one advance.

        Args:
            texts: the whole answer after each of these tokens.
            ended: it is complete with them.
            stopped: by a stop token, not by its limit.
        """
        text = ""
        for index, data in enumerate(texts):
            text = settled(data, final=ended and index == len(texts) - 1)
            end = self._first_stop(text)
            if end is not None:
                return Emitted(self._new(text[:end]), index + 1, "stop")
        if ended:
            finish = "stop" if stopped else "length"
            return Emitted(self._new(text), len(texts), finish)
        free = len(text) - self._held_back(text)
        return Emitted(self._new(text[:free]), len(texts), "")

    def _new(self, text: str) -> str:
        before, self._emitted = self._emitted, max(self._emitted, len(text))
        return text[before:]

    def _first_stop(self, text: str) -> int | None:
        """Where the stop text begins that is complete first, if one is.

        Of two that end together it is the longer: what came in one token and
        what came in several end alike.
        """
        found = [
            (place + len(stop), place)
            for stop in self._stop
            if (place := text.find(stop)) >= 0
        ]
        return min(found)[1] if found else None

    def _held_back(self, text: str) -> int:
        """Length of the longest end of `text` that may begin a stop text."""
        lengths = (
            length
            for stop in self._stop
            for length in range(min(len(stop) - 1, len(text)), 0, -1)
            if text.endswith(stop[:length])
        )
        return max(lengths, default=0)


def settled(data: bytes, final: bool = False) -> str:
    """The characters of `data` that more bytes will not change.

    Args:
        data: UTF-8, possibly cut inside a character.
        final: nothing follows, so that all are settled.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, final)
    return text if final else text.rstrip(_BROKEN)


def token_texts(
    before: bytes, texts: Sequence[bytes], final: bool = False
) -> list[bytes]:
    """What each token added, given the answer before and after each.

    Together they are the bytes of the answer. U+FFFD at the end of a text
    stands for bytes that are not a character yet, whose own values are not
    known: such a token adds nothing, and the one that completes the character
    adds all of its bytes.

    Args:
        before: the answer so far.
        texts: the answer after each token.
        final: nothing follows, so that U+FFFD at the end is part of it.
    """
    added = []
    done = len(_without_broken(before))
    for number, text in enumerate(texts):
        last = final and number == len(texts) - 1
        known = text if last else _without_broken(text)
        added.append(known[done:])
        done = max(done, len(known))
    return added


def _without_broken(text: bytes) -> bytes:
    mark = _BROKEN.encode()
    while text.endswith(mark):
        text = text.removesuffix(mark)
    return text
