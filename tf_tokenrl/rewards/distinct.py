"""Saying different things: distinct n-grams."""

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.text.words import pieces


class Distinct(Reward):
    """Different n-grams of words among all of an answer, from 0 to 1.

        distinct-n = |set of n-grams| / number of n-grams

    on the last token; 0 for an answer of fewer than n words.

    Attributes:
        ngram: n, in words between white space, letter case aside; in scripts
            without spaces each character is a word.

    Source: Li et al. (2016), "A Diversity-Promoting Objective Function for
    Neural Conversation Models", section 4.4.

    Note:
        There the n-grams of all answers together are divided by the number of
        words. A reward belongs to one answer, and divided by the number of
        n-grams it can reach 1.
    """

    def __init__(self, ngram: int = 2):
        if not isinstance(ngram, int) or ngram < 1:
            raise TokenRLError(
                "Distinct: ngram must be a whole number from 1 upwards, not "
                f"{ngram!r}."
            )
        self.ngram = ngram

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        words = pieces(response.text.lower())
        ends = range(self.ngram, len(words) + 1)
        grams = [tuple(words[end - self.ngram : end]) for end in ends]
        return len(set(grams)) / len(grams) if grams else 0.0
