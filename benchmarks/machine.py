"""What this machine can do: bytes moved and products made per second."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_SIDE = 2048  # of the matrices
_MEGABYTES = 128  # of each core's share
_REPEATS = 5


class Machine(NamedTuple):
    """Two ceilings.

    Attributes:
        bytes_per_second: that all cores together read from memory.
        flops_per_second: of a large matrix product, a multiplication and an
            addition counting as two.
    """

    bytes_per_second: float
    flops_per_second: float

    def report(self) -> dict:
        """What is printed."""
        return {
            "memory_gb_per_second": round(self.bytes_per_second / 1e9, 1),
            "matrix_gflop_per_second": round(self.flops_per_second / 1e9, 1),
        }


def measure(
    dtype: str, side: int = _SIDE, megabytes: int = _MEGABYTES
) -> Machine:
    """The best of five tries at each.

    Args:
        dtype: of the product; "mixed_bfloat16" counts as bfloat16.
        side: of the square matrices.
        megabytes: that each core reads; more than its caches hold.
    """
    return Machine(_reading(megabytes), _multiplying(dtype, side))


def _reading(megabytes: int) -> float:
    cores = os.cpu_count() or 1
    shares = [np.ones(megabytes * 2**17) for _ in range(cores)]
    with ThreadPoolExecutor(cores) as threads:
        seconds = _best(lambda: list(threads.map(np.max, shares)))
    return sum(share.nbytes for share in shares) / seconds


def _multiplying(dtype: str, side: int) -> float:
    dtype = dtype.removeprefix("mixed_")
    a = tf.cast(tf.random.stateless_normal([side, side], [0, 0]), dtype)
    product = tf.function(tf.matmul)
    seconds = _best(lambda: product(a, a).numpy())
    return 2 * side**3 / seconds


def _best(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
