"""Numbers over steps: values by hand, and what cannot be."""

import math

import numpy as np
import pytest

from tf_tokenrl import catalog, schedules
from tf_tokenrl.errors import TokenRLError


def values(expression, steps):
    schedule = schedules.parse(expression)
    return [schedule(step) for step in steps]


@pytest.mark.parametrize(
    ("expression", "steps", "expected"),
    [
        ("0.25", [0, 7], [0.25, 0.25]),
        ("-2", [0, 7], [-2, -2]),
        ("constant(3)", [0, 9], [3, 3]),
        ("linear(0, 1, steps=4)", [0, 1, 4, 9], [0, 0.25, 1, 1]),
        ("linear(1, 0, 2, after=3)", [0, 3, 4, 5, 6], [1, 1, 0.5, 0, 0]),
        ("cosine(2, 0, steps=4)", [0, 1, 2, 4, 5], [2, 1 + 0.5**0.5, 1, 0, 0]),
        ("cosine(0, 1, steps=3, after=2)", [0, 2, 3, 5], [0, 0, 0.25, 1]),
        ("piecewise({0: 1, 5: 3})", [0, 4, 5, 99], [1, 1, 3, 3]),
        ("piecewise({5: 3, 2: 1})", [0, 2, 4, 5], [1, 1, 1, 3]),
        (
            "piecewise({2: 1, 4: 3}, interpolate=True)",
            [0, 2, 3, 4, 9],
            [1, 1, 2, 3, 3],
        ),
        ("0.5 * linear(0, 1, steps=2) * 4", [0, 1, 2], [0, 1, 2]),
        ("-linear(0, 1, 2) * linear(2, 0, 2)", [0, 1, 2], [0, -0.5, 0]),
        ("-(2 * constant(3))", [0], [-6]),
    ],
)
def test_values_by_hand(expression, steps, expected):
    assert values(expression, steps) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_ends_are_met_exactly_and_nothing_lies_outside(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1e3, 2)
    steps, after = rng.integers(1, 50), rng.integers(0, 9)
    for name in ("linear", "cosine"):
        schedule = schedules.get(name, a, b, steps=steps, after=after)
        assert schedule(0) == schedule(after) == a
        assert schedule(after + steps) == schedule(10_000) == b
        slack = 1e-9 * max(abs(a), abs(b))
        for step in range(after + steps):
            assert min(a, b) - slack <= schedule(step) <= max(a, b) + slack


@pytest.mark.parametrize(
    "expression",
    [
        "constant(0.1)",
        "linear(0.0, 0.3, steps=100)",
        "cosine(1, 0, steps=5, after=2)",
        "piecewise({0: 0.1, 50: 0.3}, interpolate=True)",
        "-0.5 * linear(0, 1, steps=3) * cosine(1, 0, steps=3)",
        "-linear(0, 1, steps=3)",
    ],
)
def test_its_text_builds_it_again(expression):
    schedule = schedules.parse(expression)
    again = schedules.parse(repr(schedule))
    assert again == schedule and hash(again) == hash(schedule)
    assert again != schedules.parse("constant(9)")
    assert [again(s) for s in range(60)] == [schedule(s) for s in range(60)]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("linea(0, 1, steps=3)", 'Unknown schedule.*Did you mean "linear"'),
        ("linear(0, 1)", "steps"),
        ("linear(0, 1, steps=0)", "steps must be a whole number from 1"),
        ("linear(0, 1, steps=2.5)", "steps must be a whole number"),
        ("linear(0, 1, steps=3, after=-1)", "after.*from 0 upwards, not -1"),
        ("linear('a', 1, steps=3)", "start must be a finite number"),
        ("cosine(0, 1e999, steps=3)", "end must be a finite number, not inf"),
        ("cosine(0, True, steps=3)", "end must be a finite number, not True"),
        ("piecewise({})", "values must be like"),
        ("piecewise([0, 1])", "values must be like"),
        ("piecewise({-1: 1})", "whole steps from 0"),
        ("piecewise({0.5: 1})", "whole steps from 0"),
        ("piecewise({0: 'x'})", "finite numbers"),
        ("constant('x')", "value must be a finite number"),
        ("'x'", 'Unknown schedule "x"'),
        ("linear", "missing"),
        ("linear(0, n, steps=3)", '11: option "end" must be a literal'),
        ("linear(0, 1, steps=3) + 1", r"only \* joins schedules"),
        ("1e999 * linear(0, 1, steps=3)", "must be finite"),
        ("linear(", "Cannot read the schedule"),
        ("", "Cannot read the schedule"),
        ("__import__('os').system('x')", "Cannot read the schedule"),
        ("'os:system'('true')", "is not a schedule"),
    ],
)
def test_mistakes_are_named(expression, message):
    with pytest.raises(TokenRLError, match=message) as caught:
        schedules.parse(expression)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", catalog.names(schedules))
def test_every_schedule_refuses_options_it_does_not_have(name):
    with pytest.raises(TokenRLError, match="no_such_option"):
        schedules.get(name, no_such_option=1)


def test_a_schedule_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "own_schedule.py").write_text(
        "from tf_tokenrl.schedules import Schedule\n"
        "class Saw(Schedule):\n"
        "    def __init__(self, period):\n"
        "        self.period = period\n"
        "    def __call__(self, step):\n"
        "        return step % self.period\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    schedule = schedules.parse("0.5 * 'own_schedule:Saw'(period=3)")
    assert [schedule(step) for step in range(4)] == [0, 0.5, 1, 0]
    assert schedules.parse(repr(schedule)) == schedule
    assert not schedule.listens


def test_only_numbers_and_schedules_multiply():
    with pytest.raises(TypeError):
        schedules.get("constant", 1) * "2"
    with pytest.raises(TokenRLError, match="finite"):
        math.inf * schedules.get("constant", 1)
