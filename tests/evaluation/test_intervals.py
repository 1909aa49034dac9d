"""Figures of many answers, their intervals, and differences in pairs."""

import numpy as np
import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.evaluation import intervals
from tf_tokenrl.evaluation.intervals import Measured


def ratio(sums):
    return sums[:, 0] / sums[:, 1]


def test_the_figure_is_of_the_sums_and_not_a_mean_of_figures():
    measured = Measured(np.array([[1.0, 2.0], [3.0, 3.0]]), ratio)
    assert intervals.figure(measured) == pytest.approx(4 / 5)
    assert intervals.estimate(measured).mean == pytest.approx(4 / 5)


def test_relatives_are_drawn_together():
    """100 rows that are ten values ten times: ten groups tell as much."""
    values = np.random.default_rng(0).normal(size=10)
    few, many = values, np.repeat(values, 10)
    groups = np.repeat(np.arange(10), 10).tolist()
    alone = intervals.estimate(intervals.of_means(few))
    grouped = intervals.estimate(intervals.of_means(many), groups)
    ungrouped = intervals.estimate(intervals.of_means(many))
    np.testing.assert_allclose(grouped, alone, atol=1e-9)
    width, narrow = grouped.high - grouped.low, ungrouped.high - ungrouped.low
    assert width / narrow == pytest.approx(np.sqrt(10), rel=0.15)


def test_the_difference_is_paired():
    random = np.random.default_rng(1)
    hard = random.normal(0, 5, 200)
    before = intervals.of_means(hard)
    after = intervals.of_means(hard + 0.5 + random.normal(0, 0.1, 200))
    found = intervals.difference(after, before)
    assert found.mean == pytest.approx(0.5, abs=0.03)
    assert found.high - found.low < 0.05
    back = intervals.difference(before, after)
    assert back.low == pytest.approx(-found.high, abs=0.01)


def test_equal_answers_do_not_differ():
    same = intervals.of_means(np.random.default_rng(2).random(30))
    assert intervals.difference(same, same) == (0, 0, 0)


def test_the_paired_mean_of_ten_has_the_distribution_of_its_resamples():
    """Six +0.3, four -0.1: sums are .4 X - 1, X of Bin(10, .6)."""
    gains = intervals.of_means(np.array([0.3] * 6 + [-0.1] * 4))
    nothing = intervals.of_means(np.zeros(10))
    found = intervals.difference(gains, nothing)
    # 2.5% and 97.5% of Bin(10, .6) are 3 and 9.
    np.testing.assert_allclose(found, [0.14, 0.02, 0.26], atol=1e-9)


def test_other_examples_cannot_be_compared():
    one, two = (intervals.of_means(np.zeros(n)) for n in (3, 4))
    with pytest.raises(TokenRLError, match="3 and 4 answers"):
        intervals.difference(one, two)
