"""Tags that are right, each on its token."""

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import gains


class TokenAccuracy(Reward):
    """The share of words that equal the reference's at the same place.

        accuracy = right words / max(words chosen, words of gold)
        r_t      = accuracy(text up to t) - accuracy(text up to t - 1)

    so that an answer earns its accuracy: a right word 1 / words of gold on
    the token that ends it, and a word too many what it makes the right ones
    worth less. Words stand between white space; for a task that tags, they
    are the tags. The best reference of the text so far counts. Where neither
    has a word it is 1.

    Attributes:
        rate: False counts right words instead, so that one earns the same in
            a long answer as in a short one, and a word too many nothing.
    """

    def __init__(self, rate: bool = True):
        self.rate = rate

    def score(self, example: Example, response: Response) -> list[float]:
        """See `Reward.score`."""
        references = [reference.split() for reference in example.references]

        def worth(text: str) -> float:
            chosen = text.split()
            found = [self._worth(chosen, gold) for gold in references]
            return max(found, default=0.0)

        return gains(response, worth)

    def _worth(self, chosen: list[str], gold: list[str]) -> float:
        right = sum(a == b for a, b in zip(chosen, gold, strict=False))
        total = max(len(chosen), len(gold))
        if not total:
            return 1.0
        return right / total if self.rate else float(right)
