"""A reward kept between two bounds."""

import math

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import on_last_token
from tf_tokenrl.schedules.base import check_number

SCOPES = ("answer", "token")


class Clip(Reward):
    """What an answer earns, brought between `low` and `high`.

        per="answer":  R' = clip(R, low, high),   R = sum_t r_t
        per="token":   r'_t = clip(r_t, low, high)

    Per answer the tokens keep what they earned, and the last chosen one makes
    up the difference. Per token, a bound above 0 or below it pays tokens that
    earned nothing: for bounds that do not hold 0 think of the length.

    Attributes:
        reward: what is clipped, a reward or a sum of rewards.
        low: lower bound, or None.
        high: upper bound, or None; give at least one.
        per: "answer" or "token".
    """

    def __init__(
        self,
        reward: Reward,
        low: float | None = None,
        high: float | None = None,
        per: str = "answer",
    ):
        self.reward = reward
        self.low = low
        self.high = high
        self.per = per
        if not isinstance(reward, Reward):
            raise TokenRLError(
                f"Clip: {reward!r} is not a reward; write clip(rouge, high=1)."
            )
        if low is None and high is None:
            raise TokenRLError("Clip: give a bound, low=0 or high=1.")
        if low is not None:
            check_number(self, "low")
        if high is not None:
            check_number(self, "high", -math.inf if low is None else low)
        if per not in SCOPES:
            raise TokenRLError(
                f'Clip: per "{per}" is not one of {", ".join(SCOPES)}.'
            )

    def __call__(self, examples, responses, rollout) -> np.ndarray:
        """See `Reward.__call__`."""
        values = self.reward(examples, responses, rollout)
        mask = np.asarray(rollout.mask, bool)
        if self.per == "token":
            return np.where(mask, np.clip(values, self.low, self.high), 0)
        totals = values.sum(axis=-1, dtype=np.float64)
        excess = totals - np.clip(totals, self.low, self.high)
        return values - on_last_token(excess, mask)
