"""Rewards kept between two bounds."""

import numpy as np
import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError


@pytest.fixture
def batch(examples, responses, make_rollout):
    return examples, responses, make_rollout(responses)


def totals(expression, batch):
    return rewards.parse(expression)(*batch).sum(axis=-1)


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [
        ("low=2.5, high=4", 2.5, 4),
        ("high=2", None, 2),
        ("low=5", 5, None),
        ("low=-1, high=0", -1, 0),
    ],
)
def test_the_total_of_an_answer_is_clipped(batch, bounds, low, high):
    """The lengths are 6, 3, 3, 1 and 6 tokens."""
    plain = totals("length", batch)
    assert sorted(plain) == [1, 3, 3, 6, 6]
    np.testing.assert_allclose(
        totals(f"clip(length, {bounds})", batch), np.clip(plain, low, high)
    )


def test_the_last_token_makes_up_the_difference(batch):
    plain = rewards.parse("length")(*batch)
    clipped = rewards.parse("clip(length, high=2)")(*batch)
    for row, other, mask in zip(plain, clipped, batch[2].mask, strict=True):
        last = np.flatnonzero(mask)[-1]
        np.testing.assert_array_equal(
            np.delete(row, last), np.delete(other, last)
        )
        assert row[last] - other[last] == max(row.sum() - 2, 0)


def test_each_token_can_be_clipped(batch):
    plain = rewards.parse("kl")(*batch)
    clipped = rewards.parse("clip(kl, low=-0.2, high=0.1, per='token')")(*batch)
    mask = batch[2].mask
    np.testing.assert_array_equal(
        clipped[mask], np.clip(plain[mask], -0.2, 0.1)
    )
    assert (clipped != plain).any() and not clipped[~mask].any()


def test_a_sum_is_clipped_as_a_whole(batch):
    inner = rewards.parse("2 * length - kl")
    clipped = rewards.parse("0.5 * clip(2 * length - kl, high=3) + kl")
    name, weight, reward = clipped.terms()[0]
    assert (name, weight) == ("clip_length_kl", 0.5)
    np.testing.assert_allclose(
        reward(*batch).sum(-1), np.minimum(inner(*batch).sum(-1), 3), rtol=1e-6
    )
    assert repr(rewards.parse(repr(clipped))) == repr(clipped)


def test_an_answer_without_tokens_gets_nothing(make_response, make_rollout):
    response = make_response([], stopped=False)
    rollout = make_rollout([response], columns=3)
    clip = rewards.parse("clip(length, low=1)")
    assert not clip([None], [response], rollout).any()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("clip(rouge)", "a bound"),
        ("clip(rouge, low=1, high=0)", "high must be"),
        ("clip(rouge, low='a')", "low must be a finite number"),
        ("clip(rouge, high=1e999)", "high must be a finite number"),
        ("clip(rouge, high=1, per='row')", '"row" is not one of answer, token'),
        ("clip(high=1)", "reward"),
        ("clip(3, high=1)", "expected a reward"),
        ("clip(linear(0, 1, steps=3), high=1)", "expected a reward"),
    ],
)
def test_mistakes_are_named(expression, message):
    with pytest.raises(TokenRLError, match=message):
        rewards.parse(expression)
