"""How much one sender may send: a bucket of tokens each."""

import collections
import threading
import time
from collections.abc import Callable

_MOST_SENDERS = 10_000


class Rates:
    """A bucket that fills at `rate` per second and holds `burst`.

    Args:
        rate: records per second and sender.
        burst: records that a sender may send at once.
        clock: seconds that never go backwards.
    """

    def __init__(
        self,
        rate: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._rate, self._burst, self._clock = rate, burst, clock
        self._lock = threading.Lock()
        # Sender -> what is left and when that was; the oldest first.
        self._left: collections.OrderedDict[str, tuple[float, float]] = (
            collections.OrderedDict()
        )

    def wait(self, sender: str, count: int) -> float:
        """0 where `count` records may come now, else the seconds to wait.

        More than `burst` at once never may: infinity.
        """
        if count > self._burst:
            return float("inf")
        now = self._clock()
        with self._lock:
            left, since = self._left.pop(sender, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._rate)
            allowed = left >= count
            self._left[sender] = (left - count if allowed else left, now)
            if len(self._left) > _MOST_SENDERS:  # the oldest are full again
                self._left.popitem(last=False)
        return 0.0 if allowed else (count - left) / self._rate
