"""VADER's lexicon and rules."""

import math

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.flow import Example


def score(make_response, text):
    return rewards.get("sentiment").score(Example("x"), make_response([text]))


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("This is a great film.", 1),
        ("This is not a great film.", -1),
        ("terrible!", -1),
        ("It stands on the table.", 0),
        ("", 0),
    ],
)
def test_kind_and_unkind(make_response, text, sign):
    found = score(make_response, text)
    assert -1 <= found <= 1
    assert math.copysign(1, found) * (found != 0) == sign


def test_one_word_by_the_formula(make_response):
    """The lexicon's valence of "good" is 1.9."""
    expected = round(1.9 / math.sqrt(1.9**2 + 15), 4)
    assert score(make_response, "good") == expected


def test_degree_adds(make_response):
    assert score(make_response, "very good") > score(make_response, "good")
