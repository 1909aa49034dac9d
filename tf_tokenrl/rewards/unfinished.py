"""Not coming to an end, to be subtracted."""

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class Unfinished(Reward):
    """1 on the last token of an answer that no stop token ended.

    It marks the fault: write `rouge - 1.0 * unfinished`.

    Source: Ziegler et al. (2019), "Fine-Tuning Language Models from Human
    Preferences", who give a truncated answer a fixed low score.

    Note:
        There the penalty takes the place of the score; here it is added.
    """

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        return float(not response.stopped)
