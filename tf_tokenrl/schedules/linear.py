"""From one number to another in a straight line."""

from tf_tokenrl.schedules.base import Schedule, check_number, check_steps


class Linear(Schedule):
    """Moves from `start` to `end` by equal steps, and stays there.

        start + (end - start) * clip((step - after) / steps, 0, 1)

    Attributes:
        start: the number up to step `after`, counted from 0.
        end: the number from step `after + steps` on.
        steps: how many steps the way takes.
        after: steps before it begins.
    """

    def __init__(self, start: float, end: float, steps: int, after: int = 0):
        self.start = start
        self.end = end
        self.steps = steps
        self.after = after
        check_number(self, "start")
        check_number(self, "end")
        check_steps(self, "steps", 1)
        check_steps(self, "after")

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        share = min(max((step - self.after) / self.steps, 0.0), 1.0)
        return self.start * (1.0 - share) + self.end * share
