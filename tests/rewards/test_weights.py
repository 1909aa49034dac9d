"""Weights that are schedules: values, logs, state, text."""

import json

import numpy as np
import pytest

from tf_tokenrl import rewards, schedules
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.schedules import Measurement

WHOLE = (
    "rouge + ramp(0, 0.3, steps=2, metric='rewards/rouge', above=0.4) * bleu "
    "- adaptive(0.1, target=6.0, horizon=100) * kl "
    "+ 2 * multiplier(at_most=3, rate=0.1) * length "
    "+ linear(0.0, 0.5, steps=10) * normalize(repetition)"
)


@pytest.fixture
def batch(examples, responses, make_rollout):
    return examples, responses, make_rollout(responses)


def weights(reward):
    return {name: weight for name, weight, _ in reward.terms()}


def go(reward, batch, steps, first=0):
    """What a trainer does; returns each step's rewards and logs."""
    found = []
    for step in range(first, first + steps):
        reward.begin(step)
        values = {n: r(*batch) for n, _, r in reward.terms()}
        logs = {f"rewards/{n}": float(v.sum()) / 5 for n, v in values.items()}
        found.append((reward(*batch), reward.report()))
        reward.observe(Measurement(step, 5, 0.0, logs))
    return found


def test_a_scheduled_weight_is_that_of_the_step(batch):
    reward = rewards.parse("rouge + linear(0, 0.3, steps=3) * bleu - 2 * kl")
    rouge, bleu, kl = (rewards.get(n)(*batch) for n in ("rouge", "bleu", "kl"))
    for step, weight in enumerate([0, 0.1, 0.2, 0.3, 0.3]):
        reward.begin(step)
        assert weights(reward) == {
            "rouge": 1,
            "bleu": pytest.approx(weight),
            "kl": -2,
        }
        np.testing.assert_allclose(
            reward(*batch), rouge + weight * bleu - 2 * kl, atol=1e-6
        )
        assert reward.report() == {"weights/bleu": pytest.approx(weight)}


def test_schedules_multiply_from_either_side_and_distribute():
    half = schedules.parse("constant(0.5)")
    a, b = rewards.get("rouge"), rewards.get("kl")
    reward = half * (a - 2 * b) * 3 + a * half * half - (b * 2) * -half
    assert [w for _, w, _ in reward.terms()] == [1.5, -3.0, 0.25, 1.0]


def test_each_weight_follows_the_mean_of_its_own_term(batch):
    reward = rewards.parse(
        "multiplier(at_least=10, rate=1) * length - "
        "0.5 * adaptive(1.0, target=3.8, horizon=1) * length"
    )
    assert sum(r.sum() for r in rewards.get("length")(*batch)) == 5 * 3.8
    (_, first), (_, second), (_, third) = go(reward, batch, 3)
    assert first["multiplier/length"] == 0
    assert second["multiplier/length"] == pytest.approx(6.2)
    assert third["weights/length"] == pytest.approx(12.4)
    assert third["weights/length_2"] == pytest.approx(-0.5, rel=1e-6)


def test_progress_of_one_term_brings_in_another(batch):
    rouge = rewards.get("rouge")(*batch).sum() / 5
    reward = rewards.parse(
        "rouge + ramp(0.0, 0.3, steps=2, metric='rewards/rouge', "
        f"above={rouge - 0.01}) * bleu"
    )
    seen = [logs["weights/bleu"] for _, logs in go(reward, batch, 4)]
    np.testing.assert_allclose(seen, [0, 0.15, 0.3, 0.3])


def test_the_logs_name_all_that_changes(batch):
    ((_, logs),) = go(rewards.parse(WHOLE), batch, 1)
    assert set(logs) == {
        "weights/bleu",
        "weights/kl",
        "weights/length",
        "weights/normalize_repetition",
        "multiplier/length",
        "mean/normalize_repetition",
        "deviation/normalize_repetition",
    }


def test_saved_and_restored_it_goes_on_bit_for_bit(batch):
    straight = go(rewards.parse(WHOLE), batch, 8)
    first = rewards.parse(WHOLE)
    go(first, batch, 4)
    saved = json.loads(json.dumps(first.state()))
    second = rewards.parse(repr(first))
    assert repr(second) == repr(first)
    second.restore(saved)
    for one, other in zip(go(second, batch, 4, 4), straight[4:], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1] == other[1]
    assert straight[3][1] != straight[4][1]


def test_what_never_changes_has_no_state_and_says_nothing(batch):
    reward = rewards.parse("rouge - 0.1 * clip(kl + length, high=3)")
    assert reward.state() == {} and not reward.listens
    assert go(reward, batch, 2)[1][1] == {}
    assert rewards.parse("linear(0, 1, steps=3) * kl").state() == {}


def test_a_part_of_a_part_is_reached(batch):
    reward = rewards.parse("clip(normalize(length) + constant(2) * kl, low=0)")
    assert reward.listens
    go(reward, batch, 1)
    moments = reward.state()["rewards"][0]["rewards"][0]["moments"]
    assert moments[:2] == [5, pytest.approx(3.8)]


@pytest.mark.parametrize(
    ("expression", "character", "message"),
    [
        ("kl + linea(0, 1, steps=3) * kl", 6, "linea"),
        ("kl + linear(0, 1) * kl", 6, "steps"),
        ("kl - linear(0, n, steps=3) * kl", 16, "must be a literal"),
        ("adaptive(0.1, 6, horizon=-1) * kl", 1, "horizon must be"),
        ("linear(0, 1, steps=3)", 1, "not a reward"),
        ("kl + linear(0, 1, steps=3)", 1, "add rewards to rewards"),
        ("kl - multiplier(at_most=3) * length", 1, "is to be added"),
        ("kl + -multiplier(at_most=3) * length", 6, "is to be added"),
        ("rouge + adaptive(0.1, 6) * (kl + bleu)", 9, "the mean of one reward"),
        ("linear * kl", 1, "missing"),
    ],
)
def test_mistakes_are_placed(expression, character, message):
    with pytest.raises(TokenRLError, match=message) as caught:
        rewards.parse(expression)
    assert f"at character {character}:" in str(caught.value)
    assert "\n" not in str(caught.value)
