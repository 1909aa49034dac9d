"""Kind or unkind words, by a lexicon."""

import functools

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class Sentiment(Reward):
    """How positive an English answer is, from -1 to 1, on its last token.

        s / sqrt(s^2 + 15)

    s is the sum of the valences of the words in VADER's lexicon, after its
    rules for negation, degree, capitals and punctuation. Write
    `-1 * sentiment` for negative answers, `dense(sentiment)` for credit by
    token.

    Source: Hutto and Gilbert (2014), "VADER: A Parsimonious Rule-based Model
    for Sentiment Analysis of Social Media Text", as computed by the authors'
    package, rounded to 4 digits.
    """

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        return _analyzer().polarity_scores(response.text)["compound"]


@functools.cache
def _analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()
