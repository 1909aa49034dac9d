"""A weight that keeps the divergence near a target."""

from tf_tokenrl.schedules.base import (
    Measurement,
    Schedule,
    check_number,
    proportional,
)


class Adaptive(Schedule):
    """Rises while more than `target` is measured, falls while less is.

        w <- w (1 + e n / horizon),   e = clip(mean / target - 1, -0.2, 0.2)

    with n the answers of the step. The mean is per answer: of KL the sum over
    an answer's tokens, in nats.

    Attributes:
        start: the weight of the first step.
        target: wanted mean per answer of what is weighed.
        horizon: answers over which the weight changes by about a fifth at
            most; smaller follows faster.

    Source: Ziegler et al. (2019), "Fine-Tuning Language Models from Human
    Preferences", section 2.2, whose K is n / horizon here as in its code.

    Note:
        n / horizon counts as at most 1, so that one step changes the weight
        by a fifth at most, and never its sign. verl compares the target with
        the mean per token; here as in the paper with the sum over the answer.
    """

    def __init__(self, start: float, target: float, horizon: float = 10000):
        self.start = start
        self.target = target
        self.horizon = horizon
        for name in ("start", "target", "horizon"):
            check_number(self, name, 0.0, open_low=True)
        self._weight = float(start)

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        return self._weight

    def observe(self, measured: Measurement) -> None:
        """See `Schedule.observe`."""
        gain = min(measured.answers / self.horizon, 1.0)
        self._weight *= proportional(measured.mean, self.target, gain)

    def state(self) -> dict:
        """See `Schedule.state`."""
        return {"weight": self._weight}

    def restore(self, state: dict) -> None:
        """See `Schedule.restore`."""
        self._weight = state["weight"]
