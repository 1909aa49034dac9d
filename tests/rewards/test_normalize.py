"""Running normalisation of what answers earn."""

import json

import numpy as np
import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout
from tf_tokenrl.rewards import Reward
from tf_tokenrl.rewards.normalize import Moments
from tf_tokenrl.schedules import Measurement

MASK = np.arange(4)[None] < np.array([[4], [2], [1], [0], [3]])
LENGTHS = MASK.sum(-1)


class Given(Reward):
    """Whatever stands in `values`."""

    def __call__(self, examples, responses, rollout):
        return np.where(rollout.mask, self.values, 0).astype(np.float32)


def run(reward, steps, first=0):
    """The rewards of each step; `steps` are `[B, T]` of plain ones."""
    found = []
    for step, values in enumerate(steps, first):
        reward.reward.values = values
        reward.begin(step)
        found.append(reward(None, None, rollout()))
        reward.observe(Measurement(step, len(values), 0.0, {}))
    return found


def rollout():
    zeros = np.zeros(MASK.shape, np.float32)
    return Rollout(None, None, None, MASK, zeros, zeros)


def draw(steps, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(2.0, 3.0, (steps, *MASK.shape))


def totals_of(values):
    """What each answer that has a token earned."""
    return np.where(MASK, values, 0).sum(-1)[..., LENGTHS > 0]


def test_totals_have_mean_0_and_variance_1_over_the_run_so_far():
    steps = draw(6)
    found = run(rewards.get("normalize", Given()), steps)
    for step, values in enumerate(found):
        seen = totals_of(steps[: step + 1])
        wanted = (totals_of(steps[step]) - seen.mean()) / seen.std()
        np.testing.assert_allclose(totals_of(values), wanted, atol=1e-5)


def test_the_mean_can_be_kept():
    steps = draw(3)
    found = run(rewards.get("normalize", Given(), center=False), steps)
    seen = totals_of(steps)
    wanted = (totals_of(steps[2]) - seen.mean()) / seen.std() + seen.mean()
    np.testing.assert_allclose(totals_of(found[2]), wanted, atol=1e-5)


def test_every_answer_is_shifted_by_the_same_on_its_last_token():
    """No answer gains on another, and no token but the last is moved."""
    steps = draw(2)
    found = run(rewards.get("normalize", Given()), steps)[1]
    scaled = np.where(MASK, steps[1], 0) / totals_of(steps).std()
    shift = found - scaled
    shifted = shift[np.arange(5), LENGTHS - 1][LENGTHS > 0]
    np.testing.assert_allclose(shifted, shifted[0], atol=1e-5)
    shift[np.arange(5), LENGTHS - 1] = 0
    np.testing.assert_allclose(shift, 0, atol=1e-5)


def test_old_answers_can_be_forgotten():
    steps = draw(2)
    found = run(rewards.get("normalize", Given(), decay=0.0), steps)[1]
    seen = totals_of(steps[1])
    wanted = (seen - seen.mean()) / seen.std()
    np.testing.assert_allclose(totals_of(found), wanted, atol=1e-5)
    half = rewards.get("normalize", Given(), decay=0.5)
    run(half, steps)
    weights = np.repeat([0.5, 1.0], 4)
    mean = np.average(totals_of(steps).ravel(), weights=weights)
    report = half.report("score")
    assert report["mean/score"] == pytest.approx(mean)
    variance = np.average(
        (totals_of(steps).ravel() - mean) ** 2, weights=weights
    )
    assert report["deviation/score"] == pytest.approx(variance**0.5)


def test_what_does_not_vary_is_not_blown_up():
    values = np.where(MASK, 1.0, 0.0) / np.maximum(LENGTHS, 1)[:, None]
    (found,) = run(rewards.get("normalize", Given()), [values])
    np.testing.assert_allclose(totals_of(found), 0, atol=1e-6)
    assert np.abs(found).max() < 1


def test_only_steps_are_learned_from():
    steps = draw(3)
    straight = run(rewards.get("normalize", Given()), steps)
    reward = rewards.get("normalize", Given())
    run(reward, steps[:2])
    before = reward.state()
    reward.reward.values = 100 + steps[0]
    shown = reward(None, None, rollout())
    assert totals_of(shown).min() > 10  # as in the last step
    assert reward.state() == before
    np.testing.assert_array_equal(run(reward, steps[2:], 2)[0], straight[2])


def test_further_answers_of_a_step_are_measured_by_the_first():
    steps = draw(2)
    reward = rewards.get("normalize", Given())
    run(reward, steps[:1])
    reward.begin(1)
    reward.reward.values = steps[1]
    first = reward(None, None, rollout())
    again = reward(None, None, rollout())
    np.testing.assert_array_equal(first, again)
    reward.reward.values = 9 * steps[1]
    reward(None, None, rollout())
    reward.observe(Measurement(1, 5, 0.0, {}))
    seen = totals_of(steps)
    assert reward.state()["moments"][0] == seen.size
    assert reward.state()["moments"][1] == pytest.approx(seen.mean())


def test_saved_and_restored_it_goes_on_bit_for_bit():
    steps = draw(6)
    straight = run(rewards.parse("normalize(kl)"), [])
    assert straight == []
    straight = run(rewards.get("normalize", Given()), steps)
    first = rewards.get("normalize", Given())
    run(first, steps[:3])
    saved = json.loads(json.dumps(first.state()))
    second = rewards.get("normalize", Given())
    second.restore(saved)
    for one, other in zip(run(second, steps[3:], 3), straight[3:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seed", range(5))
def test_moments_by_parts_are_those_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(5, 9, rng.integers(0, 8)) for _ in range(6)]
    moments = Moments()
    for part in parts:
        moments = moments.with_values(part)
    whole = np.concatenate(parts)
    assert moments.number == len(whole)
    assert moments.mean == pytest.approx(whole.mean())
    assert moments.deviation == pytest.approx(whole.std())


def test_a_small_spread_around_a_large_mean_survives():
    """Squares of the values themselves would lose it, even in float64."""
    values = 1e9 + np.array([-1.0, 0.0, 1.0] * 100)
    moments = Moments()
    for part in np.split(values, 30):
        moments = moments.with_values(part)
    assert moments.deviation == pytest.approx(values.std(), rel=1e-6)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("normalize(rouge, center='yes')", "center must be True or False"),
        ("normalize(rouge, decay=2)", "decay must be a number from 0 to 1"),
        ("normalize()", "reward"),
        ("dense(normalize(bleu))", "learns from what it measures"),
    ],
)
def test_mistakes_are_named(expression, message):
    with pytest.raises(TokenRLError, match=message):
        rewards.parse(expression)
