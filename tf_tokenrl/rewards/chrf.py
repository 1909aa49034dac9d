"""chrF: n-grams of characters shared with the references."""

import functools
from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics import CHRF

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.pooled import Pooled


class Chrf(Reward, Pooled):
    """Sentence chrF against the best reference, from 0 to 1.

        chrF = (1 + 2^2) P R / (2^2 P + R)

    with the mean precision P and recall R of character n-grams, n = 1 to 6.
    The whole goes to the last token; `dense(chrf)` divides it. Many answers
    together have corpus chrF, from the sums of their n-grams.

    Attributes:
        word_order: 2 counts words and pairs of words too, which is chrF++.

    Source: Popovic (2015), "chrF: character n-gram F-score for automatic MT
    evaluation", and (2017), "chrF++: words helping character n-grams", as
    computed by sacrebleu.
    """

    def __init__(self, word_order: int = 0):
        if not isinstance(word_order, int) or word_order < 0:
            raise TokenRLError(
                "Chrf: word_order must be a whole number from 0 upwards, not "
                f"{word_order!r}."
            )
        self.word_order = word_order

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        if not example.references or not response.text:
            return 0.0
        metric = _metric(example.references, self.word_order)
        return metric.corpus_score([response.text], None).score / 100.0

    def counts(self, example: Example, response: Response) -> Sequence[float]:
        """See `Pooled.counts`: n-grams found, wanted and right, by order."""
        if not example.references:
            return [0.0] * 3 * (_CHARACTER_ORDER + self.word_order)
        metric = _metric(example.references, self.word_order)
        # Sacrebleu has no public way to the counts behind a score.
        return metric._extract_corpus_statistics([response.text], None)[0]

    def pooled(self, sums: np.ndarray) -> np.ndarray:
        """See `Pooled.pooled`."""
        metric = CHRF(word_order=self.word_order)
        rows = sums.astype(int).tolist()
        scores = [metric._compute_score_from_stats(row).score for row in rows]
        return np.array(scores) / 100.0


_CHARACTER_ORDER = 6


@functools.lru_cache(maxsize=1024)
def _metric(references: tuple[str, ...], word_order: int) -> CHRF:
    """Sacrebleu that has counted the n-grams of these references already."""
    columns = [[reference] for reference in references]
    return CHRF(word_order=word_order, references=columns)
