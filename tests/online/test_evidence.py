"""Values worked out elsewhere, and the promise of the martingale."""

import math

import numpy as np
import pytest

from tf_tokenrl.online.evidence import evidence, log_evidence


@pytest.mark.parametrize(
    ("wins", "losses", "expected"),
    [
        (15, 5, 3.2206),
        (16, 4, 10.306),
        (10, 0, 93.09),
        (60, 40, 0.9130),
        (65, 35, 11.461),
        (130, 70, 785.3),
    ],
)
def test_preferences(wins, losses, expected):
    assert evidence(wins, losses) == pytest.approx(expected, rel=1e-3)
    assert evidence(losses, wins) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("level", "least"),
    [(20, {20: 17, 50: 36, 100: 66, 200: 124}),
     (1000, {20: 19, 40 + 10: 40, 100: 71, 200: 131})],
)  # fmt: skip
def test_least_wins_that_decide(level, least):
    for votes, wins in least.items():
        assert evidence(wins, votes - wins) >= level
        assert evidence(wins - 1, votes - wins + 1) < level


@pytest.mark.parametrize(("canary", "expected"), [(130, 2.69), (150, 5825.0)])
def test_shares(canary, expected):
    found = evidence(canary, 1000 - canary, 0.1)
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.83])
def test_the_mean_is_one_where_the_chance_is_right(chance):
    """Over all outcomes of 30 rows: sum of binomial probability times E."""
    count = 30
    total = sum(
        math.comb(count, s)
        * chance**s
        * (1 - chance) ** (count - s)
        * evidence(s, count - s, chance)
        for s in range(count + 1)
    )
    assert total == pytest.approx(1.0)


def test_looking_always_does_not_decide_without_a_difference():
    """4,000 runs of 400 votes, a look after each: at most 5%."""
    rng = np.random.default_rng(0)
    votes = rng.random((4000, 400)) < 0.5
    wins = votes.cumsum(1)
    counts = np.arange(1, 401)
    table = {}
    for n in counts:
        for s in range(n + 1):
            table[s, n - s] = log_evidence(s, n - s)
    decided = sum(
        any(
            table[int(s), int(n - s)] >= math.log(20)
            for s, n in zip(row, counts, strict=True)
        )
        for row in wins[:1000]
    )
    assert decided / 1000 <= 0.05


def test_much_evidence_is_a_number():
    assert evidence(10_000, 0) == math.inf
    assert log_evidence(10_000, 0) > 700
