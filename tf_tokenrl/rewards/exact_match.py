"""Being the same as a reference."""

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.normalization import normalized_words


class ExactMatch(Reward):
    """1 on the last token of an answer that equals a reference, else 0.

    Attributes:
        normalize: compare words without letter case, punctuation and the
            articles a, an, the; False compares the texts as they are, white
            space at their ends aside.

    Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine
    Comprehension of Text", section 6.1.
    """

    def __init__(self, normalize: bool = True):
        self.normalize = normalize

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        key = normalized_words if self.normalize else str.strip
        answer = key(response.text)
        return float(any(key(r) == answer for r in example.references))
