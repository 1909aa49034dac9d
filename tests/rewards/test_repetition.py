"""Repeated n-grams of token ids."""

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response


@pytest.mark.parametrize(
    ("ngram", "ids", "expected"),
    [
        (1, (5, 6, 5, 5), [0, 0, 1, 1]),
        (2, (5, 6, 5, 6, 5), [0, 0, 0, 1, 1]),
        (3, (5, 5, 5, 5, 5), [0, 0, 0, 1, 1]),
        (3, (5, 6), [0, 0]),
        (2, (), []),
    ],
)
def test_the_token_that_completes_a_repeat_is_marked(ngram, ids, expected):
    response = Response("", ids, ((0, 0),) * len(ids), False)
    reward = rewards.get("repetition", ngram=ngram)
    assert reward.score(Example("x"), response) == expected


@pytest.mark.parametrize("ngram", [0, -1, 2.5, "3"])
def test_ngram_must_be_a_whole_number(ngram):
    with pytest.raises(TokenRLError, match="ngram"):
        rewards.get("repetition", ngram=ngram)
