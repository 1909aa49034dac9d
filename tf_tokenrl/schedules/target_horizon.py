"""A weight that lets the divergence grow to a target in a given time."""

from tf_tokenrl.schedules.base import (
    Measurement,
    Schedule,
    check_number,
    check_steps,
    proportional,
)


class TargetHorizon(Schedule):
    """Follows a target that grows from 0 and is whole after `horizon` steps.

        target_t = target * min((t + 1) / horizon, 1)
        w <- w (1 + gain e),   e = clip(mean / target_t - 1, -0.2, 0.2)

    A policy starts at its reference, where the divergence is 0. `adaptive`
    reads that as far too little and lowers the weight until the target is
    overshot; this one asks at each step for no more than is due by then.

    Attributes:
        start: the weight of the first step.
        target: mean per answer that is allowed in the end, of KL in nats.
        horizon: steps until then.
        gain: how strongly the weight follows; a fifth of it is the most that
            one step changes.

    Source: the proportional law of Ziegler et al. (2019), "Fine-Tuning
    Language Models from Human Preferences", section 2.2.

    Note:
        The moving target is ours. `gain` is 0.1 as in the paper.
    """

    def __init__(
        self, start: float, target: float, horizon: int, gain: float = 0.1
    ):
        self.start = start
        self.target = target
        self.horizon = horizon
        self.gain = gain
        check_number(self, "start", 0.0, open_low=True)
        check_number(self, "target", 0.0, open_low=True)
        check_steps(self, "horizon", 1)
        check_number(self, "gain", 0.0, 1.0)
        self._weight = float(start)

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        return self._weight

    def observe(self, measured: Measurement) -> None:
        """See `Schedule.observe`."""
        due = self.target * min((measured.step + 1) / self.horizon, 1.0)
        self._weight *= proportional(measured.mean, due, self.gain)

    def state(self) -> dict:
        """See `Schedule.state`."""
        return {"weight": self._weight}

    def restore(self, state: dict) -> None:
        """See `Schedule.restore`."""
        self._weight = state["weight"]
