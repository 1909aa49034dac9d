"""chrF: n-grams of characters shared with the references."""

import functools

from sacrebleu.metrics import CHRF

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class Chrf(Reward):
    """Sentence chrF against the best reference, from 0 to 1.

        chrF = (1 + 2^2) P R / (2^2 P + R)

    with the mean precision P and recall R of character n-grams, n = 1 to 6.
    The whole goes to the last token; `dense(chrf)` divides it.

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


@functools.lru_cache(maxsize=1024)
def _metric(references: tuple[str, ...], word_order: int) -> CHRF:
    """Sacrebleu that has counted the n-grams of these references already."""
    columns = [[reference] for reference in references]
    return CHRF(word_order=word_order, references=columns)
