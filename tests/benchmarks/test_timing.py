import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import timing

ROOT = Path(__file__).parent.parent.parent


def test_the_first_call_compiles_and_is_left_out_of_the_median():
    took = timing.Timing([9.0, 1.0, 3.0, 2.0])
    assert took.median == 2.0
    assert took.compiling == 7.0


def test_a_single_call_is_all_there_is():
    took = timing.Timing([4.0])
    assert took.median == 4.0 and took.compiling == 0.0


def test_every_call_is_timed():
    calls = []
    assert len(timing.timed(lambda: calls.append(1), 3).seconds) == 3
    assert len(calls) == 3


def test_the_peak_counts_what_was_held():
    """In a process of its own, whose peak is not that of other tests."""
    code = (
        "from benchmarks.timing import peak_memory_mb as peak;"
        "before = peak(); len(bytearray(b'x') * (64 << 20));"
        "print(peak() - before)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert float(done.stdout) == pytest.approx(64, abs=8), done.stderr
