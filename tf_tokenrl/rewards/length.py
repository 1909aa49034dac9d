"""Answers of a wanted length."""

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.text.words import pieces


class Length(Reward):
    """How near an answer comes to a number of words.

        -|words - target| / target   on the last token

    Without a target, 1 on every chosen token: `- 0.01 * length` charges for
    each token, the stop token included.

    Attributes:
        target: wanted number of words between white space, or None; in
            scripts without spaces each character is a word.
    """

    def __init__(self, target: float | None = None):
        if target is not None and not target > 0:
            raise TokenRLError(
                f"Length: target must be a positive number, not {target!r}."
            )
        self.target = target

    def score(self, example: Example, response: Response):
        """See `Reward.score`."""
        if self.target is None:
            return [1.0] * len(response.token_ids)
        words = len(pieces(response.text))
        return -abs(words - self.target) / self.target
