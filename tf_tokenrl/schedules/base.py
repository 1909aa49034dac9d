"""What a schedule is: a number for every step, and what it may remember."""

import math
import numbers
from collections.abc import Mapping
from typing import NamedTuple

from tf_tokenrl import catalog
from tf_tokenrl.errors import TokenRLError


class Measurement(NamedTuple):
    """What a finished step showed.

    Attributes:
        step: number of the step, from 0.
        answers: answers in its global batch.
        mean: mean per answer of what the schedule weighs, before its weight.
        logs: the step's logs by name, see `docs/metrics.md`; times and
            speeds are left out, for they differ between workers and runs.
    """

    step: int
    answers: int
    mean: float
    logs: Mapping[str, float]


class Schedule:
    """A number that changes while a run goes on.

    Override `__call__`. A schedule that also follows what is measured keeps
    what it needs in `observe`, and gives and takes it by `state` and
    `restore`, so that a resumed run goes on as if it had never stopped.

    The constructor is the configuration: keep every argument as an attribute
    of the same name, and `repr` is the expression that `parse` reads. Two
    schedules with the same configuration are equal.

    Attributes:
        signed: whether the schedule itself decides between plus and minus.
    """

    signed = False

    def __call__(self, step: int) -> float:
        """The number during step `step`, from 0."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__.")

    def observe(self, measured: Measurement) -> None:
        """Called after each step, with the same numbers on every worker."""

    @property
    def listens(self) -> bool:
        """True where `observe` changes the numbers to come."""
        return type(self).observe is not Schedule.observe

    def state(self) -> dict:
        """What `observe` left, fit for JSON."""
        return {}

    def restore(self, state: dict) -> None:
        """Take up what `state` gave."""

    def report(self, name: str) -> dict[str, float]:
        """Further numbers for the logs of what `name` is weighed by."""
        return {}

    def __mul__(self, other: "float | Schedule") -> "Product":
        if not isinstance(other, numbers.Real | Schedule):
            return NotImplemented
        return Product(self, other)

    __rmul__ = __mul__

    def __neg__(self) -> "Product":
        return Product(self, -1.0)

    def __eq__(self, other) -> bool:
        return type(other) is type(self) and repr(other) == repr(self)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return catalog.expression(self, __package__)


class Product(Schedule):
    """A number times schedules; what `*` and `-` make of them.

    Attributes:
        factor: the number.
        schedules: in order; a product among them is taken apart.
    """

    def __init__(self, *factors: "float | Schedule"):
        """Multiply them.

        Raises:
            TokenRLError: a number is not finite, or is negative and a
                schedule has a sign of its own.
        """
        self.factor = 1.0
        self.schedules: tuple[Schedule, ...] = ()
        for factor in factors:
            if isinstance(factor, Product):
                self.factor *= factor.factor
                self.schedules += factor.schedules
            elif isinstance(factor, Schedule):
                self.schedules += (factor,)
            else:
                self.factor *= float(factor)
        if not math.isfinite(self.factor):
            raise TokenRLError(
                f"A weight must be finite, not {self.factor} as in {self!r}."
            )

        if self.factor < 0 and any(s.signed for s in self.schedules):
            raise TokenRLError(
                f"{-self!r} is to be added, not subtracted: its sign comes "
                "from its bound, at_least or at_most."
            )

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        return self.factor * math.prod(s(step) for s in self.schedules)

    def observe(self, measured: Measurement) -> None:
        """See `Schedule.observe`."""
        for schedule in self.schedules:
            schedule.observe(measured)

    @property
    def listens(self) -> bool:
        """See `Schedule.listens`."""
        return any(schedule.listens for schedule in self.schedules)

    def state(self) -> dict:
        """See `Schedule.state`."""
        states = [schedule.state() for schedule in self.schedules]
        return {"schedules": states} if any(states) else {}

    def restore(self, state: dict) -> None:
        """See `Schedule.restore`."""
        states = state.get("schedules", ())
        for schedule, saved in zip(self.schedules, states, strict=False):
            schedule.restore(saved)

    def report(self, name: str) -> dict[str, float]:
        """See `Schedule.report`."""
        found: dict[str, float] = {}
        for schedule in self.schedules:
            found |= schedule.report(name)
        return found

    def __repr__(self) -> str:
        sign = "-" if self.factor < 0 else ""
        size = abs(self.factor)
        factor = [] if size == 1 and self.schedules else [repr(size)]
        return sign + " * ".join(factor + [repr(s) for s in self.schedules])


def proportional(mean: float, target: float, gain: float) -> float:
    """The factor 1 + gain * clip(mean / target - 1, -0.2, 0.2)."""
    return 1.0 + gain * min(max(mean / target - 1.0, -0.2), 0.2)


def check_number(
    owner: object,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
) -> None:
    """The attribute `name` must be a finite number from `low` to `high`.

    Raises:
        TokenRLError: it is not; with `open_low` neither may it be `low`.
    """
    value = getattr(owner, name)
    if (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= float(value) <= high
        and not (open_low and value == low)
    ):
        return
    if open_low:
        wanted = f"a finite number above {low:g}"
    elif high < math.inf:
        wanted = f"a number from {low:g} to {high:g}"
    elif low > -math.inf:
        wanted = f"a finite number from {low:g} upwards"
    else:
        wanted = "a finite number"
    raise TokenRLError(
        f"{type(owner).__name__}: {name} must be {wanted}, not {value!r}."
    )


def check_steps(owner: object, name: str, least: int = 0) -> None:
    """The attribute `name` must be a whole number from `least` upwards.

    Raises:
        TokenRLError: it is not.
    """
    value = getattr(owner, name)
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or int(value) < least:
        raise TokenRLError(
            f"{type(owner).__name__}: {name} must be a whole number from "
            f"{least} upwards, not {value!r}."
        )
