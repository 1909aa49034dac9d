"""A reward brought to variance 1 over the answers of the run so far."""

import math
from typing import NamedTuple

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import on_last_token
from tf_tokenrl.schedules import Measurement
from tf_tokenrl.schedules.base import check_number

VARIANCE_FLOOR = 1e-8


class Moments(NamedTuple):
    """Of totals: number, mean, sum of squared distances from it; float64."""

    number: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def faded(self, decay: float) -> "Moments":
        """The same with the weight of what was seen lowered."""
        return Moments(self.number * decay, self.mean, self.squares * decay)

    def with_values(self, values: np.ndarray) -> "Moments":
        """With further values `[N]`.

        Source: Chan, Golub and LeVeque (1979), "Updating Formulae and a
        Pairwise Algorithm for Computing Sample Variances", eq. 2.1.
        """
        if not len(values):
            return self
        values = values.astype(np.float64)
        mean = float(values.mean())
        squares = float(np.square(values - mean).sum())
        number = self.number + len(values)
        share, gap = len(values) / number, mean - self.mean
        return Moments(
            number,
            self.mean + gap * share,
            self.squares + squares + gap**2 * self.number * share,
        )

    @property
    def deviation(self) -> float:
        """The biased standard deviation; 1 where nothing varies."""
        variance = self.squares / self.number if self.number else 0.0
        return math.sqrt(variance) if variance > VARIANCE_FLOOR else 1.0


class Normalize(Reward):
    """What answers earn, with variance 1 and, if centred, mean 0.

        center=True:   R' = (R - mean) / deviation,   R = sum_t r_t
        center=False:  R' = (R - mean) / deviation + mean

    Mean and deviation are of R over all answers of the run so far, those of
    the step included. Every token's reward is divided by the deviation; what
    then has to be added to R goes to the last chosen token. It is the same
    for all answers of a step, so that no answer gains on another.

    Moments of single tokens would not do. To subtract their mean charges or
    pays for each token, which teaches a length, and they hold for a reward
    given along the way what they do not for the same at the end.

    Attributes:
        reward: what is normalised, a reward or a sum of rewards.
        center: False keeps the mean, so that the sign of a mean survives.
        decay: weight of what was seen before a step, from 0 to 1; below 1
            old answers are forgotten.

    Source: Ziegler et al. (2019), "Fine-Tuning Language Models from Human
    Preferences", section 2.1, who normalise a learned reward once; running
    moments: Welford (1962), "Note on a Method for Calculating Corrected Sums
    of Squares and Products".

    Note:
        Outside a training step it is normalised as in the last one, before
        the first by the answers at hand. With a discount below 1 the amount
        on the last token weighs less in a longer answer.
    """

    def __init__(self, reward: Reward, center: bool = True, decay: float = 1.0):
        self.reward = reward
        self.center = center
        self.decay = decay
        if not isinstance(reward, Reward):
            raise TokenRLError(
                f"Normalize: {reward!r} is not a reward; write "
                "normalize(rouge)."
            )
        if not isinstance(center, bool):
            raise TokenRLError(
                f"Normalize: center must be True or False, not {center!r}."
            )
        check_number(self, "decay", 0.0, 1.0)
        self._past = Moments()
        self._now: Moments | None = None

    def __call__(self, examples, responses, rollout) -> np.ndarray:
        """See `Reward.__call__`."""
        values = self.reward(examples, responses, rollout)
        mask = np.asarray(rollout.mask, bool)
        if self._now is None:
            totals = values[mask.any(-1)].sum(-1, dtype=np.float64)
            self._now = self._past.faded(self.decay).with_values(totals)
        deviation, mean = self._now.deviation, self._now.mean
        kept = 0.0 if self.center else mean
        added = np.full(len(mask), kept - mean / deviation)
        return values / np.float32(deviation) + on_last_token(added, mask)

    def begin(self, step: int) -> None:
        """The moments are those of the first answers rewarded from now on."""
        super().begin(step)
        self._now = None

    def observe(self, measured: Measurement) -> None:
        """See `Reward.observe`."""
        super().observe(measured)
        self._past = self._now or self._past

    def state(self) -> dict:
        """See `Reward.state`."""
        return super().state() | {"moments": list(self._past)}

    def restore(self, state: dict) -> None:
        """See `Reward.restore`."""
        super().restore(state)
        self._past = Moments(*state["moments"])
        self._now = self._past if self._past.number else None

    def report(self, name: str = "") -> dict[str, float]:
        """See `Reward.report`: `mean/NAME` and `deviation/NAME`."""
        now, name = self._now or self._past, name or self._label()
        return super().report(name) | {
            f"mean/{name}": now.mean,
            f"deviation/{name}": now.deviation,
        }
