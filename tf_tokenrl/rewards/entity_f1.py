"""F1 of whole entities, on the tokens of each."""

from collections.abc import Sequence
from typing import NamedTuple

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import Span, on_spans, words

STATISTICS = ("f1", "precision", "recall")


class Entity(NamedTuple):
    """Words `first` to `last` (included) of one kind."""

    kind: str
    first: int
    last: int


class EntityF1(Reward):
    """Precision, recall or F1 of entities with both ends and kind right.

        precision = TP / C,  recall = TP / G,  F1 = 2 TP / (C + G)

    C and G count the entities of the answer and of the reference, TP those
    in both. Each entity of TP earns an equal part, shared by the tokens of
    its tags, and an answer earns its score. Where neither has an entity the
    score is 1, shared by all tokens of the tags. The best reference counts:
    that with the highest score.

    Tags are words such as "B-PER", "I-PER" and "O"; IOB1, IOB2 and IOBES are
    read alike, and any other word counts as "O".

    Attributes:
        statistic: "f1", "precision" or "recall".
        rate: False gives each entity of TP 1 instead of its part of the
            score, so that it earns the same in a long answer as in a short
            one, and an answer without entities nothing.
        wrong: what an entity of the answer that the reference lacks earns,
            against one that is right, shared by its own tokens. At 0 its
            cost is what the right ones of the same answer earn less.

    Source: Tjong Kim Sang and De Meulder (2003), "Introduction to the
    CoNLL-2003 Shared Task", section 2.4. `wrong`: Parambath et al. (2014),
    "Optimizing F-Measures by Cost-Sensitive Classification": where all texts
    together have the F1 score F, another answer raises it if it raises
    TP - F / 2 (C + G), so with `rate=False`, `wrong=-F / (2 - F)` pays each
    entity what it does for F, up to a factor.

    Note:
        Entities are those that seqeval 1.2.2 finds in its default mode. It
        gives 0 where neither has one; a reward of 0 for a right answer would
        teach to tag something.
    """

    def __init__(
        self, statistic: str = "f1", rate: bool = True, wrong: float = 0.0
    ):
        if statistic not in STATISTICS:
            raise TokenRLError(
                f"EntityF1: statistic {statistic!r} is not one of "
                f"{', '.join(STATISTICS)}."
            )
        self.statistic = statistic
        self.rate = rate
        self.wrong = wrong

    def score(self, example: Example, response: Response) -> list[float]:
        """See `Reward.score`."""
        places = words(response.text)
        chosen = entities(response.text.split())
        most, credit = -1.0, []
        for reference in example.references:
            gold = set(entities(reference.split()))
            right = [entity for entity in chosen if entity in gold]
            whole = self._whole(len(chosen), len(gold))
            score = len(right) / whole if right else 0.0
            part = 1.0 / whole if self.rate and whole else 1.0
            spans = [
                Span(
                    places[e.first][0],
                    places[e.last][1],
                    part if e in gold else part * self.wrong,
                )
                for e in chosen
            ]
            if not chosen and not gold:
                score = 1.0
                spans = [Span(0, len(response.text), 1.0)] * self.rate
            if score > most:
                most, credit = score, spans
        return on_spans(response, credit)

    def _whole(self, found: int, wanted: int) -> float:
        if self.statistic == "f1":
            return (found + wanted) / 2
        return found if self.statistic == "precision" else wanted


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities that a sequence of tags marks, in order."""
    found = []
    first, before, kind_before = 0, "O", ""
    for index, tag in enumerate([*tags, "O"]):
        position, kind = _read(tag)
        other = kind != kind_before
        if before != "O" and (before in "ES" or position in "BSO" or other):
            found.append(Entity(kind_before, first, index - 1))
        if position != "O" and (position in "BS" or before in "ESO" or other):
            first = index
        before, kind_before = position, kind
    return found


def _read(tag: str) -> tuple[str, str]:
    """ "B-PER" -> ("B", "PER"); what is no tag is outside."""
    position, dash, kind = tag.partition("-")
    if position in ("B", "I", "E", "S") and dash:
        return position, kind
    return "O", ""
