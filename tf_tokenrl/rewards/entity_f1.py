"""F1 of whole entities, on the tokens that decide."""

from collections.abc import Sequence

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import gains
from tf_tokenrl.rewards.shared.pooled import Pooled
from tf_tokenrl.text.tags import Entity, entities, read

STATISTICS = ("f1", "precision", "recall")


class EntityF1(Reward, Pooled):
    """Precision, recall or F1 of entities with both ends and kind right.

        precision = TP / C,  recall = TP / G,  F1 = 2 TP / (C + G)

    C and G count the entities of the answer and of the reference, TP those
    in both. A token earns what it adds to the score of the tags so far,

        r_t = F1(tags up to t) - F1(tags up to t - 1)

    so that an answer earns its score. The tag behind an entity decides too,
    for it ends or spoils it, and is paid or charged. Where neither has an
    entity the score is 1. The best reference of the tags so far counts.

    Tags are words such as "B-PER", "I-PER" and "O" of any scheme that
    `tf_tokenrl.text.tags` reads; another word of an answer counts as "O". A
    reference with another word has tags of no scheme, and earns nothing.

    Many answers together have the F1 of all their entities, so a text without
    any neither raises nor lowers it; 0 where there is none at all.

    Attributes:
        statistic: "f1", "precision" or "recall".
        rate: False counts each entity of TP as 1 instead of its part of the
            score, so that it earns the same in a long answer as in a short
            one, and an answer without entities nothing.
        wrong: what an entity of the answer that the reference lacks counts,
            against one that is right. At 0 its cost is what the right ones of
            the same answer earn less.

    Source: Tjong Kim Sang and De Meulder (2003), "Introduction to the
    CoNLL-2003 Shared Task", section 2.4. `wrong`: Parambath et al. (2014),
    "Optimizing F-Measures by Cost-Sensitive Classification": where all texts
    together have the F1 score F, another answer raises it if it raises
    TP - F / 2 (C + G), so with `rate=False`, `wrong=-F / (2 - F)` pays each
    entity what it does for F, up to a factor.

    Note:
        Entities are those that seqeval 1.2.2 finds in its default mode, which
        counts broken spans too; `tf-tokenrl evaluate` prints the strict
        figure where it differs. Seqeval gives 0 where neither has one; a
        reward of 0 for a right answer would teach to tag something.
    """

    headline = True

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
        references = filter(_has_scheme, example.references)
        golds = [set(entities(reference.split())) for reference in references]

        def worth(text: str) -> float:
            chosen = entities(text.split())
            found = [self._worth(chosen, gold) for gold in golds]
            return max(found, default=(0.0, 0.0))[1]

        return gains(response, worth)

    def _worth(
        self, chosen: Sequence[Entity], gold: set[Entity]
    ) -> tuple[float, float]:
        """The score, by which references are compared, and what is paid."""
        if not chosen and not gold:
            return 1.0, float(self.rate)
        right = sum(entity in gold for entity in chosen)
        whole = self._whole(len(chosen), len(gold))
        part = 1.0 / whole if self.rate and whole else 1.0
        paid = part * (right + self.wrong * (len(chosen) - right))
        return right / whole if right else 0.0, paid

    def counts(self, example: Example, response: Response) -> Sequence[float]:
        """See `Pooled.counts`: entities right, found and wanted."""
        found = set(entities(response.text.split()))
        golds = [
            set(entities(reference.split()))
            for reference in filter(_has_scheme, example.references)
        ]
        rows = [(len(found & g), len(found), len(g)) for g in golds]
        return max(rows, key=self._of, default=(0, len(found), 0))

    def pooled(self, sums: np.ndarray) -> np.ndarray:
        """See `Pooled.pooled`."""
        return np.array([self._of(row) for row in sums])

    def _of(self, row: Sequence[float]) -> float:
        right, found, wanted = row
        return right / self._whole(found, wanted) if right else 0.0

    def _whole(self, found: float, wanted: float) -> float:
        if self.statistic == "f1":
            return (found + wanted) / 2
        return found if self.statistic == "precision" else wanted


def _has_scheme(reference: str) -> bool:
    return all(read(tag) is not None for tag in reference.split())
