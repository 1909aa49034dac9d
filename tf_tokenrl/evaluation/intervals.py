"""A figure for many answers, and how sure it is: the bootstrap."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from tf_tokenrl.errors import TokenRLError

_RESAMPLES = 2000


class Estimate(NamedTuple):
    """A figure with its 95% interval, percentile bootstrap over examples."""

    mean: float
    low: float
    high: float


class Measured(NamedTuple):
    """Numbers of each answer, and the figure that their sums make.

    Attributes:
        rows: float64 `[N, K]`, what is summed over answers.
        figure: sums `[R, K]` -> figures `[R]`.
    """

    rows: np.ndarray
    figure: Callable[[np.ndarray], np.ndarray]


def of_means(values: np.ndarray) -> Measured:
    """The mean of `values` `[N]`."""
    values = np.asarray(values, np.float64)
    rows = np.stack([values, np.ones_like(values)], axis=1)
    return Measured(rows, lambda sums: sums[:, 0] / sums[:, 1])


def figure(measured: Measured) -> float:
    """The figure of all answers."""
    return float(measured.figure(measured.rows.sum(axis=0)[None])[0])


def estimate(
    measured: Measured,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Estimate:
    """The figure and its 95% interval.

    Args:
        measured: numbers of N answers.
        groups: for each answer what it belongs to, such as a document:
            groups are drawn, for their members are not independent. By
            default each answer is a group.
        seed: of the resamples.

    Source: Efron and Tibshirani (1993), "An Introduction to the Bootstrap",
    chapter 13; for groups Davison and Hinkley (1997), "Bootstrap Methods and
    their Application", section 3.8.
    """
    rows = _by_group(measured.rows, groups)
    return _interval(
        figure(measured),
        len(rows),
        lambda i: _resampled(measured, rows, i),
        seed,
    )


def difference(
    after: Measured,
    before: Measured,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Estimate:
    """What `after` has more than `before`, on the same examples.

    Both are drawn together, so that what makes an example hard for both
    falls out.

    Raises:
        TokenRLError: they have different numbers of answers.
    """
    if len(after.rows) != len(before.rows):
        raise TokenRLError(
            f"{len(after.rows)} and {len(before.rows)} answers cannot be "
            "compared in pairs: answer the same examples."
        )
    first, second = (_by_group(m.rows, groups) for m in (after, before))

    def gap(indices: np.ndarray) -> np.ndarray:
        return _resampled(after, first, indices) - _resampled(
            before, second, indices
        )

    return _interval(figure(after) - figure(before), len(first), gap, seed)


def _by_group(
    rows: np.ndarray, groups: Sequence[Hashable] | None
) -> np.ndarray:
    """The rows of each group summed: `[N, K]` -> `[G, K]`."""
    if groups is None:
        return rows
    places: dict[Hashable, int] = {}
    numbers = [places.setdefault(group, len(places)) for group in groups]
    summed = np.zeros([len(places), rows.shape[1]])
    np.add.at(summed, numbers, rows)
    return summed


def _resampled(
    measured: Measured, rows: np.ndarray, indices: np.ndarray
) -> np.ndarray:
    return measured.figure(rows[indices].sum(axis=-2))


def _interval(
    value: float,
    count: int,
    statistic: Callable[[np.ndarray], np.ndarray],
    seed: int,
) -> Estimate:
    if count < 2:
        return Estimate(value, value, value)
    found = stats.bootstrap(
        (np.arange(count),),
        lambda indices, axis: statistic(np.atleast_2d(indices)),
        n_resamples=_RESAMPLES,
        batch=100,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(value, float(found.low), float(found.high))
