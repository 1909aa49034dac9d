"""A number that starts to move when a measure has passed a threshold."""

from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.schedules.base import (
    Measurement,
    Schedule,
    check_number,
    check_steps,
)


class Ramp(Schedule):
    """Stays at `start` until progress is measured, then goes to `end`.

    Once the mean of `metric` over the last `window` steps is at or above
    `above` (or at or below `below`), the number moves to `end` by equal
    steps. It never turns back.

        rouge + ramp(0.0, 0.3, steps=50, metric='rewards/rouge', above=0.4)
                * bleu

    Attributes:
        start: the number until then.
        end: the number from `steps` steps later on.
        steps: how many steps the way takes.
        metric: a name from the logs, see `docs/metrics.md`; not a time.
        above: threshold from below, or None.
        below: threshold from above, or None; give one of the two.
        window: steps whose mean is compared.
    """

    def __init__(
        self,
        start: float,
        end: float,
        steps: int,
        metric: str,
        above: float | None = None,
        below: float | None = None,
        window: int = 1,
    ):
        self.start = start
        self.end = end
        self.steps = steps
        self.metric = metric
        self.above = above
        self.below = below
        self.window = window
        if (above is None) == (below is None):
            raise TokenRLError(
                "Ramp: give one threshold, above=0.4 or below=0.4."
            )
        for name in ("start", "end", "above" if below is None else "below"):
            check_number(self, name)
        check_steps(self, "steps", 1)
        check_steps(self, "window", 1)
        self._recent: list[float] = []
        self._since: int | None = None

    def __call__(self, step: int) -> float:
        """See `Schedule.__call__`."""
        if self._since is None:
            return float(self.start)
        share = min(max((step - self._since) / self.steps, 0.0), 1.0)
        return self.start * (1.0 - share) + self.end * share

    def observe(self, measured: Measurement) -> None:
        """Raises TokenRLError where the logs have no such metric."""
        if self.metric not in measured.logs:
            raise unknown("metric", self.metric, measured.logs)
        if self._since is not None:
            return
        self._recent.append(float(measured.logs[self.metric]))
        self._recent = self._recent[-self.window :]
        if len(self._recent) == self.window and self._passed():
            self._since = measured.step

    def _passed(self) -> bool:
        mean = sum(self._recent) / self.window
        if self.above is not None:
            return mean >= self.above
        return self.below is not None and mean <= self.below

    def state(self) -> dict:
        """See `Schedule.state`."""
        return {"recent": self._recent, "since": self._since}

    def restore(self, state: dict) -> None:
        """See `Schedule.restore`."""
        self._recent = list(state["recent"])
        self._since = state["since"]
