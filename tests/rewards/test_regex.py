"""Answers of a wanted form."""

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example


@pytest.mark.parametrize(
    ("pattern", "search", "answer", "expected"),
    [
        (r"\d+", False, "42", 1),
        (r"\d+", False, "is 42", 0),
        (r"\d+", True, "is 42", 1),
        (r"(?i)yes|no", False, "No", 1),
        (r"\p{Lu}.*\.", False, "Élan vital.", 1),
        ("", False, "", 1),
    ],
)
def test_matches(make_response, pattern, search, answer, expected):
    reward = rewards.get("regex", pattern=pattern, search=search)
    assert reward.score(Example("x"), make_response([answer])) == expected


def test_a_pattern_without_end_is_named(make_response):
    reward = rewards.get("regex", pattern=r"(a|aa|b?a)+$", seconds=0.05)
    response = make_response(["a" * 40 + "!"])
    with pytest.raises(TokenRLError, match="more than 0.05 seconds.*41 char"):
        reward.score(Example("x"), response)


@pytest.mark.parametrize("pattern", ["(", "a**", 3])
def test_a_pattern_must_be_readable(pattern):
    with pytest.raises(TokenRLError, match="cannot read the pattern"):
        rewards.get("regex", pattern=pattern)


def test_time_must_be_positive():
    with pytest.raises(TokenRLError, match="seconds"):
        rewards.get("regex", pattern="a", seconds=0)
