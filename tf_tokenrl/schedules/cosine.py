"""From one number to another, slowly at both ends."""

import math

from tf_tokenrl.schedules.base import Schedule, check_number, check_steps


class Cosine(Schedule):
    """Moves from `start` to `end` along half a wave, and stays there.

        end + (start - end) * (1 + cos(pi * x)) / 2,
        x = clip((step - after) / steps, 0, 1)

    Attributes:
        start: the number up to step `after`, counted from 0.
        end: the number from step `after + steps` on.
        steps: how many steps the way takes.
        after: steps before it begins.

    Source: Loshchilov and Hutter (2017), "SGDR: Stochastic Gradient Descent
    with Warm Restarts", eq. 5, without restarts.
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
        left = (1.0 + math.cos(math.pi * share)) / 2.0
        return self.end * (1.0 - left) + self.start * left
