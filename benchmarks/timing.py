"""Medians of repeated calls, what compiling cost, and the peak of memory."""

import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Timing(NamedTuple):
    """How long each of several calls took, the first one with compiling.

    Attributes:
        seconds: of each call, at least one.
    """

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        """Seconds of a call, those after the first where there are any."""
        return statistics.median(self.seconds[1:] or self.seconds)

    @property
    def compiling(self) -> float:
        """Seconds that the first call took more."""
        return max(self.seconds[0] - self.median, 0.0)

    def report(self) -> dict:
        """What is printed."""
        return {
            "compile_seconds": round(self.compiling, 3),
            "all_seconds": [round(s, 4) for s in self.seconds],
        }


def timed(call: Callable[[], object], repeats: int) -> Timing:
    """Time `repeats` calls, one by one."""
    seconds = []
    for _ in range(max(repeats, 1)):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return Timing(seconds)


def peak_memory_mb() -> float:
    """The most memory this process ever held, in units of 2**20 bytes.

    Linux counts the peak of the process that started this one in its resource
    usage, but not in the status of this one.
    """
    status = Path("/proc/self/status")
    text = status.read_text("utf-8") if status.exists() else ""
    if found := re.search(r"VmHWM:\s*(\d+) kB", text):
        return round(int(found[1]) / 1024, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return round(peak * unit / 2**20, 1)
