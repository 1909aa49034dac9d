"""Words that an answer shares with its reference, in any order."""

from collections import Counter

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.normalization import normalized_words


class SquadF1(Reward):
    """Harmonic mean of precision and recall of words, from 0 to 1.

        F1 = 2 |A and R| / (|A| + |R|)

    A and R are the words of the answer and of a reference, repeats counted,
    without letter case, punctuation and the articles a, an, the. The best
    reference counts; without one it is 0. Where neither has a word it is 1.
    The whole goes to the last token.

    Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine
    Comprehension of Text", section 6.1; for answers without words, Rajpurkar
    et al. (2018), "Know What You Don't Know".
    """

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        answer = Counter(normalized_words(response.text))
        references = map(normalized_words, example.references)
        return max((_f1(answer, Counter(r)) for r in references), default=0.0)


def _f1(answer: Counter, reference: Counter) -> float:
    total = answer.total() + reference.total()
    return 2 * (answer & reference).total() / total if total else 1.0
