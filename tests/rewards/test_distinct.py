"""Distinct n-grams."""

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example


@pytest.mark.parametrize(
    ("ngram", "answer", "expected"),
    [
        (1, "a b c", 1),
        (1, "a b A a", 2 / 4),
        (2, "a b a b a", 2 / 4),
        (2, "a a a", 1 / 2),
        (3, "a b", 0),
        (1, "", 0),
    ],
)
def test_different_among_all(make_response, ngram, answer, expected):
    reward = rewards.get("distinct", ngram=ngram)
    assert reward.score(Example("x"), make_response([answer])) == expected


@pytest.mark.parametrize("ngram", [0, -1, 2.0, "2"])
def test_ngram_must_be_a_whole_number(ngram):
    with pytest.raises(TokenRLError, match="ngram"):
        rewards.get("distinct", ngram=ngram)


def test_characters_are_words_where_there_are_no_spaces(make_response):
    score = rewards.get("distinct", ngram=1).score
    assert score(Example("x"), make_response(["猫猫坐坐"])) == 0.5
