"""Tags of words, and the spans that they mark, in any of the usual schemes.

    IOB1   I- inside, B- only where two spans of one kind meet
    IOB2   B- begins, I- goes on
    BIOES  E- ends, S- is a span of one word; so does BMEWO, with M- and W-
    BILOU  L- ends, U- is a span of one word

The position stands before the kind (B-PER, B_PER), behind it (PER-B, PER_B)
or alone (B).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import regex

OUTSIDE = "O"
_PREFIX = regex.compile(r"([BIESLUMW])[-_](.+)")
_SUFFIX = regex.compile(r"(.+)[-_]([BIESLUMW])")
_ONE, _LAST = "SUW", "EL"  # a span of one word; the last word of a span


class Entity(NamedTuple):
    """Words `first` to `last` (included) of one kind."""

    kind: str
    first: int
    last: int


class Scheme(NamedTuple):
    """How tags mark spans.

    Attributes:
        name: "IOB1", "IOB2", "BIOES", "BMEWO", "BILOU", or "" where the tags
            mark none.
        closed: whether a span says where it ends.
        example: a tag as it is written.
    """

    name: str
    closed: bool
    example: str


def read(tag: str) -> tuple[str, str] | None:
    """Position and kind: "B-PER" -> ("B", "PER"); None: it is not a tag."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    if len(tag) == 1 and tag in "BIESLU":
        return tag, ""
    if found := _PREFIX.fullmatch(tag):
        return found[1], found[2]
    if found := _SUFFIX.fullmatch(tag):
        return found[2], found[1]
    return None


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities that a sequence of tags marks, in order.

    A span that is not begun or not ended as its scheme wants counts all the
    same, as in seqeval's default mode; a word that is not a tag is outside.
    """
    found = []
    first, before, kind_before = 0, OUTSIDE, ""
    for index, tag in enumerate([*tags, OUTSIDE]):
        position, kind = read(tag) or (OUTSIDE, "")
        other = kind != kind_before
        single = position in _ONE
        if before != OUTSIDE and (
            before in _LAST + _ONE or position in "BO" or single or other
        ):
            found.append(Entity(kind_before, first, index - 1))
        if position != OUTSIDE and (
            position == "B" or single or before in f"{_LAST}{_ONE}O" or other
        ):
            first = index
        before, kind_before = position, kind
    return found


def strict_entities(tags: Sequence[str], closed: bool) -> list[Entity]:
    """Only entities that are begun, and where `closed` ended, by the scheme."""
    pairs = [read(tag) or (OUTSIDE, "") for tag in tags]
    found = []
    for first, (position, kind) in enumerate(pairs):
        if closed and position in _ONE:
            found.append(Entity(kind, first, first))
        if position != "B":
            continue
        last = first
        while pairs[last + 1 : last + 2] in ([("I", kind)], [("M", kind)]):
            last += 1
        end = pairs[last + 1 : last + 2]
        if not closed:
            found.append(Entity(kind, first, last))
        elif end and end[0][0] in _LAST and end[0][1] == kind:
            found.append(Entity(kind, first, last + 1))
    return found


def scheme(texts: Iterable[Sequence[str]]) -> Scheme:
    """The scheme of the tags of many texts."""
    positions: set[str] = set()
    example, begins, follows = "", False, False
    for tags in texts:
        before = (OUTSIDE, "")
        for tag in tags:
            pair = read(tag)
            if pair is None:
                return Scheme("", False, tag)
            if pair[0] != OUTSIDE:
                positions.add(pair[0])
                example = example or tag
            inside = before[0] != OUTSIDE and before[1] == pair[1]
            begins |= pair[0] == "B" and not inside
            follows |= pair[0] == "I" and not inside
            before = pair
    if positions & set("LU"):
        return Scheme("BILOU", True, example)
    if positions & set("MW"):
        return Scheme("BMEWO", True, example)
    if positions & set("ES"):
        return Scheme("BIOES", True, example)
    if not positions:
        return Scheme("", False, example)
    return Scheme("IOB1" if follows and not begins else "IOB2", False, example)


def in_one_form(tags: Sequence[str]) -> list[str]:
    """The tags with their positions in front; IOB1 is written as IOB2.

    "B_PER" and "PER-B" become "B-PER", and an I- that continues nothing
    becomes B-. What is not a tag stays as it is.
    """
    made = []
    before: tuple[str, str] | None = None
    for tag in tags:
        pair = read(tag)
        if pair is None:
            made.append(tag)
        else:
            position, kind = pair
            goes_on = before in [(p, kind) for p in "BIM"]
            if position == "I" and not goes_on:
                position = "B"
            made.append(f"{position}-{kind}" if kind else position)
        before = pair
    return made
