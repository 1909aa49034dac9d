"""Saying the same again, to be subtracted."""

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class Repetition(Reward):
    """1 on each token that completes an n-gram the answer already holds.

    The n-grams are of token ids and may overlap. It marks the fault: write
    `- 0.2 * repetition`.

    Attributes:
        ngram: n, in tokens.
    """

    def __init__(self, ngram: int = 3):
        if not isinstance(ngram, int) or ngram < 1:
            raise TokenRLError(
                "Repetition: ngram must be a whole number from 1 upwards, "
                f"not {ngram!r}."
            )
        self.ngram = ngram

    def score(self, example: Example, response: Response) -> list[float]:
        """See `Reward.score`."""
        seen, scores = set(), []
        for end in range(1, len(response.token_ids) + 1):
            gram = response.token_ids[max(end - self.ngram, 0) : end]
            scores.append(float(gram in seen))
            seen.add(gram)
        return scores
