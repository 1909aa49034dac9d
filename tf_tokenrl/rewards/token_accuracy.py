"""Tags that are right, each on its token."""

from collections.abc import Sequence

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import Span, on_spans, words


class TokenAccuracy(Reward):
    """The share of words that equal the reference's at the same place.

        r_i = [chosen_i = gold_i] / max(words chosen, words of gold)

    on the tokens of word i, so that an answer earns its accuracy. Words stand
    between white space; for a task that tags, they are the tags. The best
    reference counts. Where neither has a word it is 1, on the last token.

    Attributes:
        rate: False gives each right word 1 instead, so that a token earns the
            same in a long answer as in a short one.
    """

    def __init__(self, rate: bool = True):
        self.rate = rate

    def score(self, example: Example, response: Response) -> list[float]:
        """See `Reward.score`."""
        places, chosen = words(response.text), response.text.split()
        most, credit = -1.0, []
        for reference in example.references:
            gold = reference.split()
            right = _right(chosen, gold)
            total = max(len(chosen), len(gold))
            accuracy = len(right) / total if total else 1.0
            if accuracy <= most:
                continue
            most = accuracy
            amount = 1.0 / total if self.rate and total else 1.0
            credit = [Span(*places[i], amount) for i in right]
            credit += [] if total else [Span(0, 0, 1.0)]
        return on_spans(response, credit)


def _right(chosen: Sequence[str], gold: Sequence[str]) -> list[int]:
    pairs = enumerate(zip(chosen, gold, strict=False))
    return [i for i, (word, wanted) in pairs if word == wanted]
