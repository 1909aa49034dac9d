"""Weights that follow what is measured: by hand, and to their ends."""

import json
import math

import numpy as np
import pytest

from tf_tokenrl import schedules
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.schedules import Measurement

CONTROLLERS = [
    "adaptive(0.1, target=6.0, horizon=10000)",
    "target_horizon(0.1, target=6.0, horizon=4)",
    "multiplier(at_least=2.0, rate=0.25)",
    "multiplier(at_most=2.0, rate=0.25, start=1.0, most=1.5)",
    "ramp(0.0, 0.3, steps=9, metric='kl', above=2.5, window=2)",
    "-0.5 * adaptive(0.1, target=6, horizon=512) * linear(0, 1, steps=5)",
]
MEANS = [3.0, 6.6, 12.0, 0.0, 6.0, -1.0]


def measured(mean, step=0, answers=512, **logs):
    return Measurement(step, answers, mean, logs or {"kl": mean})


def trace(schedule, means, answers=512, first=0):
    """The weight of each step, the one after the last included."""
    weights = [schedule(first)]
    for step, mean in enumerate(means, first):
        schedule.observe(measured(mean, step, answers))
        weights.append(schedule(step + 1))
    return weights


def test_adaptive_by_hand():
    schedule = schedules.parse("adaptive(0.15, target=6.0, horizon=10000)")
    factors = [
        1 - 0.2 * 512 / 10000,  # half the target: clipped
        1 + 0.1 * 512 / 10000,  # a tenth above
        1 + 0.2 * 512 / 10000,  # twice the target: clipped
        1 - 0.2 * 512 / 10000,
        1.0,
        1 - 0.2 * 512 / 10000,  # an estimate may be negative
    ]
    expected = 0.15 * np.cumprod([1.0, *factors])
    np.testing.assert_allclose(trace(schedule, MEANS), expected, rtol=1e-12)


def test_adaptive_never_changes_more_than_a_fifth_nor_its_sign():
    schedule = schedules.parse("adaptive(1.0, target=1.0, horizon=1)")
    weights = trace(schedule, [0.0] * 50 + [99.0] * 50)
    ratios = np.divide(weights[1:], weights[:-1])
    np.testing.assert_allclose(ratios, [0.8] * 50 + [1.2] * 50)
    assert min(weights) > 0


def test_target_horizon_by_hand():
    schedule = schedules.parse("target_horizon(1.0, 8.0, horizon=4, gain=0.5)")
    # Due are 2, 4, 6, 8 and 8 nats.
    weights = trace(schedule, [2.0, 4.4, 3.0, 8.0, 12.0])
    expected = np.cumprod([1.0, 1.0, 1.05, 0.9, 1.0, 1.1])
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


def test_target_horizon_does_not_sink_while_the_policy_is_still_near():
    means = np.minimum(0.1 * np.arange(1, 81), 8.0)
    moving = schedules.parse("target_horizon(0.1, 8.0, horizon=80)")
    fixed = schedules.parse("adaptive(0.1, 8.0, horizon=5120)")
    assert moving.gain == 512 / fixed.horizon
    np.testing.assert_allclose(trace(moving, means), 0.1)
    assert trace(fixed, means)[-1] < 0.05


def test_multiplier_by_hand():
    least = schedules.parse("multiplier(at_least=0.9, rate=0.5)")
    np.testing.assert_allclose(
        trace(least, [0.5, 0.8, 1.0, 2.0, 0.0]), [0, 0.2, 0.25, 0.2, 0, 0.45]
    )
    most = schedules.parse("multiplier(at_most=20, rate=0.1, most=0.75)")
    np.testing.assert_allclose(
        trace(most, [25.0, 24.0, 18.0, 0.0]), [0, -0.5, -0.75, -0.55, 0]
    )
    assert least.report("recall") == {"multiplier/recall": least(0)}
    assert most.report("length") == {"multiplier/length": 0.0}


def test_multiplier_finds_the_optimum_of_a_constrained_problem():
    """maximise p r + H(p) subject to p <= c, by best responses.

    The best response to the weight w is p = sigmoid(r + w). At the optimum
    p = c, and the multiplier is r - logit(c).
    """
    r, c = 1.5, 0.3
    schedule = schedules.parse(f"multiplier(at_most={c}, rate=0.5)")
    for step in range(400):
        p = 1 / (1 + math.exp(-(r + schedule(step))))
        schedule.observe(measured(p, step))
    assert p == pytest.approx(c, abs=1e-6)
    assert -schedule(400) == pytest.approx(r - math.log(c / (1 - c)), abs=1e-5)


def test_multiplier_leaves_a_bound_alone_that_holds_by_itself():
    schedule = schedules.parse("multiplier(at_most=0.99, rate=0.5, start=3)")
    for step in range(100):
        p = 1 / (1 + math.exp(-(1.5 + schedule(step))))
        schedule.observe(measured(p, step))
    assert schedule(100) == 0 and p == pytest.approx(1 / (1 + math.exp(-1.5)))


def test_ramp_waits_for_the_mean_and_never_turns_back():
    schedule = schedules.parse(
        "ramp(0.2, 0.5, steps=3, metric='score', above=0.5, window=2)"
    )
    weights = []
    for step, score in enumerate([0.9, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]):
        weights.append(schedule(step))
        schedule.observe(measured(0.0, step, score=score, kl=9.0))
    # Steps 2 and 3 have the mean 0.5 first; a third of the way in each.
    np.testing.assert_allclose(
        weights, [0.2, 0.2, 0.2, 0.2, 0.3, 0.4, 0.5, 0.5]
    )


def test_ramp_from_above():
    schedule = schedules.parse("ramp(1, 0, steps=1, metric='kl', below=0)")
    assert trace(schedule, [2, 1, -1, 5]) == [1, 1, 1, 0, 0]


def test_ramp_names_a_metric_that_is_not_there():
    schedule = schedules.parse("ramp(0, 1, steps=1, metric='rouge', above=0)")
    with pytest.raises(TokenRLError, match='metric "rouge".*rewards/rouge'):
        schedule.observe(measured(0.0, **{"rewards/rouge": 0.5}))


@pytest.mark.parametrize("expression", CONTROLLERS)
def test_saved_and_restored_it_goes_on_bit_for_bit(expression):
    means = np.random.default_rng(0).normal(3.0, 2.0, 12)
    straight = trace(schedules.parse(expression), means)
    first = schedules.parse(expression)
    trace(first, means[:5])
    saved = json.loads(json.dumps(first.state()))
    second = schedules.parse(repr(first))
    assert second == first and second.listens
    second.restore(saved)
    assert trace(second, means[5:], first=5) == straight[5:]
    assert straight[5] != straight[12]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("adaptive(0, target=6)", "start must be a finite number above 0"),
        ("adaptive(0.1, target=-6)", "target.*above 0, not -6"),
        ("adaptive(0.1, target=6, horizon=-1)", "horizon.*above 0, not -1"),
        ("adaptive(0.1)", "target"),
        ("target_horizon(0.1, 6, horizon=-3)", "horizon.*whole number from 1"),
        ("target_horizon(0.1, 6, 10, gain=2)", "gain.*from 0 to 1, not 2"),
        ("multiplier()", "one bound"),
        ("multiplier(at_least=1, at_most=2)", "one bound"),
        ("multiplier(at_least='x')", "at_least must be a finite number"),
        ("multiplier(at_most=1, rate=0)", "rate.*above 0"),
        ("multiplier(at_most=1, start=-1)", "start.*from 0 upwards"),
        ("multiplier(at_most=1, start=2, most=1)", "most.*from 2 upwards"),
        ("-multiplier(at_most=1)", "is to be added, not subtracted"),
        ("-2 * (0.5 * multiplier(at_most=1))", "is to be added"),
        ("ramp(0, 1, steps=3, metric='kl')", "one threshold"),
        ("ramp(0, 1, 3, 'kl', above=1, below=2)", "one threshold"),
        ("ramp(0, 1, steps=3, metric='kl', above='x')", "above must be"),
        ("ramp(0, 1, 3, 'kl', above=1, window=0)", "window.*from 1"),
    ],
)
def test_mistakes_are_named(expression, message):
    with pytest.raises(TokenRLError, match=message) as caught:
        schedules.parse(expression)
    assert "\n" not in str(caught.value)


def test_a_sign_may_be_taken_back():
    schedule = schedules.parse("-1 * (-2 * linear(0, 1, steps=1))")
    assert schedule(1) == 2
