"""A Lagrange multiplier, which holds a reward to a bound."""

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.schedules.base import Measurement, Schedule, check_number


class Multiplier(Schedule):
    """Weighs a reward as much as it takes to hold its mean to a bound.

        maximise R subject to mean >= at_least:   weight = m
        maximise R subject to mean <= at_most:    weight = -m
        m <- clip(m + rate * violation, 0, most)

    where the violation is how far the mean per answer was on the wrong side
    of the bound in this step, negative on the right side. `rouge +
    multiplier(at_most=20) * length` is the Lagrangian of ROUGE under a budget
    of length, but for the constant m * bound, which favours no answer over
    another. The sign comes from the bound: always add the term.

    Attributes:
        at_least: lower bound of the mean per answer, or None.
        at_most: upper bound, or None; give one of the two.
        rate: step of the dual ascent, in weight per unit of violation.
        start: m in the first step.
        most: greatest m, or None.

    Source: Arrow, Hurwicz and Uzawa (1958), "Studies in Linear and Non-Linear
    Programming"; for reinforcement learning Tessler et al. (2019), "Reward
    Constrained Policy Optimization", eq. 6 and 7.
    """

    signed = True

    def __init__(
        self,
        at_least: float | None = None,
        at_most: float | None = None,
        rate: float = 0.1,
        start: float = 0.0,
        most: float | None = None,
    ):
        self.at_least = at_least
        self.at_most = at_most
        self.rate = rate
        self.start = start
        self.most = most
        if (at_least is None) == (at_most is None):
            raise TokenRLError(
                "Multiplier: give one bound, at_least=0.9 or at_most=20."
            )
        check_number(self, "at_most" if at_least is None else "at_least")
        check_number(self, "rate", 0.0, open_low=True)
        check_number(self, "start", 0.0)
        if most is not None:
            check_number(self, "most", start)
        self._multiplier = float(start)

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        return self._multiplier if self.at_most is None else -self._multiplier

    def observe(self, measured: Measurement) -> None:
        """See `Schedule.observe`."""
        violation = 0.0
        if self.at_least is not None:
            violation = self.at_least - measured.mean
        if self.at_most is not None:
            violation = measured.mean - self.at_most
        raised = max(self._multiplier + self.rate * violation, 0.0)
        self._multiplier = (
            raised if self.most is None else min(raised, self.most)
        )

    def state(self) -> dict:
        """See `Schedule.state`."""
        return {"multiplier": self._multiplier}

    def restore(self, state: dict) -> None:
        """See `Schedule.restore`."""
        self._multiplier = state["multiplier"]

    def report(self, name: str) -> dict[str, float]:
        """See `Schedule.report`."""
        return {f"multiplier/{name}": self._multiplier}
