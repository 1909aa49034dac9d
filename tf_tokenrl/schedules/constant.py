"""The same number at every step."""

from tf_tokenrl.schedules.base import Schedule, check_number


class Constant(Schedule):
    """One number for the whole run.

    Attributes:
        value: the number.
    """

    def __init__(self, value: float):
        self.value = value
        check_number(self, "value")

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        return float(self.value)
