"""Length in words and in tokens."""

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [([], -1), (["a", " b"], -0.5), (["a b c d"], 0), (["a " * 8], -1)],
)
def test_distance_from_the_target(make_response, pieces, expected):
    reward = rewards.get("length", target=4)
    assert reward.score(Example("x"), make_response(pieces)) == expected


def test_without_a_target_every_token_counts(make_response):
    reward = rewards.get("length")
    assert reward.score(Example("x"), make_response(["a", "b"])) == [1, 1, 1]


@pytest.mark.parametrize("target", [0, -3, float("nan"), "long"])
def test_a_target_must_be_positive(target):
    with pytest.raises(TokenRLError):
        rewards.get("length", target=target)


def test_characters_are_words_where_there_are_no_spaces(make_response):
    reward = rewards.get("length", target=4)
    assert reward.score(Example("x"), make_response(["猫坐在上"])) == 0
