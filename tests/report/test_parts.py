"""Properties of the parts that hold arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl.report import heat_map, numbers, scores
from tf_tokenrl.report.curves import smooth

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, max_size=60))
def test_smooth_stays_between_the_extremes(values):
    smoothed = smooth(np.array(values))
    assert len(smoothed) == len(values)
    if values:
        assert smoothed.min() >= min(values) - 1e-6
        assert smoothed.max() <= max(values) + 1e-6


def test_smooth_keeps_a_line_where_its_window_is_whole():
    line = np.arange(100.0)
    np.testing.assert_allclose(smooth(line)[5:-5], line[5:-5])


def test_smooth_averages_half_a_window_at_the_ends():
    values = np.random.default_rng(0).normal(size=100)
    assert smooth(values)[0] == pytest.approx(values[:6].mean())
    assert smooth(values)[-1] == pytest.approx(values[-6:].mean())


@given(st.lists(finite, min_size=1, max_size=8))
def test_shares_reach_but_do_not_leave_the_scale(values):
    row = {"tokens": ["x"] * len(values), "reward": values}
    known = heat_map.scales([row])
    tokens = heat_map.sample(row, known).tokens
    shares = [abs(token.shares["reward"]) for token in tokens]
    assert max(shares) == (1.0 if any(values) else 0.0)
    for value, token in zip(values, tokens, strict=True):
        assert token.shares["reward"] * value >= 0


def test_scale_is_shared_by_all_samples():
    rows = [{"tokens": ["a"], "kl": [1.0]}, {"tokens": ["b"], "kl": [-4.0]}]
    known = heat_map.scales(rows)
    assert [scale.name for scale in known] == ["kl"]
    shares = [heat_map.sample(r, known).tokens[0].shares["kl"] for r in rows]
    assert shares == [0.25, -1.0]


def test_number_that_is_not_finite_has_no_colour():
    row = {"tokens": ["a", "b"], "value": [float("nan"), 2.0]}
    first, second = heat_map.sample(row, heat_map.scales([row])).tokens
    assert (first.shares["value"], first.numbers["value"]) == (0.0, "nan")
    assert second.shares["value"] == 1.0


def score(low, mean, high):
    return {"low": low, "mean": mean, "high": high}


@pytest.mark.parametrize(
    ("after", "apart"),
    [
        (score(0.31, 0.4, 0.5), True),
        (score(0.30, 0.4, 0.5), False),
        (score(0.0, 0.05, 0.09), True),
        (score(0.15, 0.2, 0.25), False),
    ],
)
def test_apart_is_symmetric_and_strict(after, apart):
    before = score(0.1, 0.2, 0.3)
    one = scores.verdict({"before": {"f1": before}, "after": {"f1": after}})
    other = scores.verdict({"before": {"f1": after}, "after": {"f1": before}})
    assert one.apart == other.apart == apart


def test_change_from_nothing_is_a_difference():
    results = {
        "before": {"f1": score(0.0, 0.0, 0.0)},
        "after": {"f1": score(0.2, 0.25, 0.3)},
    }
    assert scores.verdict(results).figure == "+0.250"


def test_verdict_skips_a_metric_without_a_counterpart():
    results = {
        "before": {"old": score(1, 2, 3), "f1": score(0.1, 0.2, 0.3)},
        "after": {"f1": score(0.1, 0.2, 0.3)},
    }
    found = scores.verdict(results)
    assert (found.metric, found.verb) == ("f1", "left")
    assert [row.metric for row in scores.rows(results)] == ["old", "f1"]


@given(finite, finite, finite)
def test_interval_lies_inside_its_plot(a, b, c):
    low, mean, high = sorted((a, b, c))
    (row,) = scores.rows({"after": {"f1": score(low, mean, high)}})
    drawn = row.scores[0]
    assert 0 <= drawn.left <= drawn.dot + 1e-6
    assert drawn.dot <= drawn.left + drawn.width + 1e-6 <= 100 + 1e-5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25449, "0.254"),
        (-14.21, "−14.2"),
        (12812.4, "12,812"),
        (1e-05, "1.0e−05"),
        (-0.0, "0"),
        (float("nan"), "nan"),
    ],
)
def test_plain(value, text):
    assert numbers.plain(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.21, "4.2 s"),
        (59.97, "1 min 0 s"),
        (95, "1 min 35 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds, text):
    assert numbers.duration(seconds) == text


def test_flat_names_nested_options_with_dots():
    nested = {"seed": 1, "algorithm": {"clip": 0.2, "empty": {}}}
    assert list(numbers.flat(nested)) == [("seed", 1), ("algorithm.clip", 0.2)]
