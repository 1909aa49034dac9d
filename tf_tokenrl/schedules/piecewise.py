"""Numbers given at some steps."""

import math
import numbers

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.schedules.base import Schedule


class Piecewise(Schedule):
    """Holds the number given last, or goes straight to the next.

        piecewise({0: 0.0, 50: 0.1, 100: 0.3})

    is 0 in steps 0 to 49, 0.1 in steps 50 to 99 and 0.3 from then on.

    Attributes:
        values: step -> number; the first also holds before its step.
        interpolate: go in straight lines from each number to the next.
    """

    def __init__(self, values: dict[int, float], interpolate: bool = False):
        self.values = values
        self.interpolate = interpolate
        if not isinstance(values, dict) or not values:
            raise TokenRLError(
                "Piecewise: values must be like {0: 0.1, 50: 0.3}, a number "
                f"for each step at which it changes, not {values!r}."
            )
        for step, value in values.items():
            if not _whole(step) or step < 0 or not _finite(value):
                raise TokenRLError(
                    "Piecewise: values must hold finite numbers by whole "
                    f"steps from 0 upwards, not {step!r}: {value!r}."
                )
        self._steps = sorted(values)

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        before = [s for s in self._steps if s <= step] or self._steps[:1]
        left, value = before[-1], float(self.values[before[-1]])
        later = [s for s in self._steps if s > step]
        if not self.interpolate or not later or step < left:
            return value
        share = (step - left) / (later[0] - left)
        return value * (1.0 - share) + self.values[later[0]] * share


def _whole(step) -> bool:
    return isinstance(step, numbers.Integral) and not isinstance(step, bool)


def _finite(value) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)
