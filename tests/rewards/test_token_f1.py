"""Precision, recall and F1 of tags, by counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rewards.test_token_accuracy import respond
from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

tags = st.lists(st.sampled_from(["O", "PER", "LOC"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("statistic", "worths"),
    [
        ("precision", [1, 1 / 2, 1 / 3, 1 / 3]),
        ("recall", [1 / 2, 1 / 2, 1 / 2, 1 / 2]),
        ("f1", [2 / 3, 2 / 4, 2 / 5, 2 / 5]),
    ],
)
def test_a_token_earns_what_it_adds_to_the_score(statistic, worths):
    """Three tags found, two wanted, one of them right."""
    reward = rewards.get("token_f1", statistic=statistic)
    scores = reward.score(
        Example("x", ("PER O LOC O",)), respond(["PER", "PER", "PER", "O"])
    )
    np.testing.assert_allclose(scores, np.diff(worths, prepend=0.0))


@given(st.lists(st.tuples(tags, tags), min_size=1, max_size=1))
def test_the_sum_is_the_harmonic_mean(pairs):
    ((chosen, gold),) = pairs
    example, response = Example("x", (" ".join(gold),)), respond(chosen)
    p, r, f1 = (
        sum(rewards.get("token_f1", statistic=s).score(example, response))
        for s in ("precision", "recall", "f1")
    )
    assert f1 == pytest.approx(2 * p * r / (p + r) if p + r else 0)
    assert 0 <= min(p, r) <= max(p, r) <= 1 + 1e-9


def test_nothing_to_find_and_nothing_found_is_right():
    reward = rewards.get("token_f1")
    right = reward.score(Example("x", ("O O",)), respond(["O", "O"]))
    assert right == [1, 0]
    assert sum(reward.score(Example("x", ("O O",)), respond(["O", "A"]))) == 0
    assert sum(reward.score(Example("x"), respond(["O", "O"]))) == 0


def test_the_tag_that_means_nothing_has_a_name():
    reward = rewards.get("token_f1", outside="_")
    scores = reward.score(Example("x", ("O _ A",)), respond(["O", "_", "_"]))
    np.testing.assert_allclose(scores, [2 / 3, 0, 0])


def test_the_best_reference_counts():
    example = Example("x", ("A B", "A C"))
    scores = rewards.get("token_f1").score(example, respond(["A", "C"]))
    np.testing.assert_allclose(scores, [2 / 3, 1 / 3])


def test_unknown_statistics_are_named():
    with pytest.raises(TokenRLError, match="'f2'.*f1, precision, recall"):
        rewards.get("token_f1", statistic="f2")


def test_texts_without_tags_do_not_lift_the_score_of_all():
    reward = rewards.get("token_f1")
    golds = ["O O", "A A", "O C"]
    rows = [
        reward.counts(Example("x", (gold,)), respond(["O", "A"]))
        for gold in golds
    ]
    assert rows == [(0, 1, 0), (1, 1, 2), (0, 1, 1)]
    pooled = reward.pooled(np.sum(rows, axis=0)[None])
    assert pooled == pytest.approx(2 * 1 / (3 + 3))
