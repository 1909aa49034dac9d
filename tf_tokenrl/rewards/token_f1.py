"""Precision, recall and F1 of the tags that mean something."""

from collections.abc import Sequence

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import gains
from tf_tokenrl.rewards.shared.pooled import Pooled

STATISTICS = ("f1", "precision", "recall")


class TokenF1(Reward, Pooled):
    """Micro-averaged F1 over all tags but one, from 0 to 1.

        precision = TP / C,  recall = TP / G,  F1 = 2 TP / (C + G)

    C and G count the tags of the answer and of the reference that are not
    `outside`; TP those that are equal at the same place. A token earns what
    it adds to the score of the tags so far,

        r_t = F1(tags up to t) - F1(tags up to t - 1)

    so that an answer earns its score. Where neither has such a tag the score
    is 1; where only one has, it is 0. The best reference of the tags so far
    counts. Many answers together have the score of all their tags; 0 where
    there is none at all.

    Attributes:
        statistic: "f1", "precision" or "recall".
        outside: the tag that means nothing.

    Source: van Rijsbergen (1979), "Information Retrieval", chapter 7.

    Note:
        Scikit-learn and seqeval give 0 where nothing is to be found and
        nothing was (`zero_division`); a reward of 0 for a right answer would
        teach to tag something.
    """

    headline = True

    def __init__(self, statistic: str = "f1", outside: str = "O"):
        if statistic not in STATISTICS:
            raise TokenRLError(
                f"TokenF1: statistic {statistic!r} is not one of "
                f"{', '.join(STATISTICS)}."
            )
        self.statistic = statistic
        self.outside = outside

    def score(self, example: Example, response: Response) -> list[float]:
        """See `Reward.score`."""
        references = [reference.split() for reference in example.references]

        def worth(text: str) -> float:
            chosen = text.split()
            found = [self._worth(chosen, gold) for gold in references]
            return max(found, default=0.0)

        return gains(response, worth)

    def counts(self, example: Example, response: Response) -> Sequence[float]:
        """See `Pooled.counts`: tags right, found and wanted."""
        chosen = response.text.split()
        golds = [reference.split() for reference in example.references]
        rows = [self._counted(chosen, gold) for gold in golds]
        found = len(chosen) - chosen.count(self.outside)
        return max(rows, key=self._of, default=(0, found, 0))

    def pooled(self, sums: np.ndarray) -> np.ndarray:
        """See `Pooled.pooled`."""
        return np.array([self._of(row) for row in sums])

    def _worth(self, chosen: Sequence[str], gold: Sequence[str]) -> float:
        row = self._counted(chosen, gold)
        _, found, wanted = row
        return self._of(row) if found or wanted else 1.0

    def _of(self, row: Sequence[float]) -> float:
        right, found, wanted = row
        return right / self._whole(found, wanted) if right else 0.0

    def _counted(
        self, chosen: Sequence[str], gold: Sequence[str]
    ) -> tuple[int, int, int]:
        right = sum(
            tag == wanted != self.outside
            for tag, wanted in zip(chosen, gold, strict=False)
        )
        found = len(chosen) - chosen.count(self.outside)
        return right, found, len(gold) - gold.count(self.outside)

    def _whole(self, found: float, wanted: float) -> float:
        if self.statistic == "f1":
            return (found + wanted) / 2
        return found if self.statistic == "precision" else wanted
