"""The F1 of question answering."""

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.flow import Example


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("the cat sat", ["a cat sat"], 1),  # articles do not count
        ("cat sat", ["cat stood"], 1 / 2),  # P = R = 1/2
        ("cat", ["cat sat on"], 1 / 2),  # P = 1, R = 1/3
        ("cat cat cat", ["cat cat"], 4 / 5),  # P = 2/3, R = 1
        ("Cat, sat!", ["dog", "cat sat"], 1),
        ("dog", ["cat"], 0),
        ("", ["cat"], 0),
        ("the", [""], 1),  # nothing wanted, nothing said
        ("", [], 0),
    ],
)
def test_shared_words(make_response, answer, references, expected):
    example = Example("x", tuple(references))
    score = rewards.get("squad_f1").score(example, make_response([answer]))
    assert score == pytest.approx(expected)


def test_characters_are_words_where_there_are_no_spaces(make_response):
    score = rewards.get("squad_f1").score
    found = score(Example("x", ("北京市",)), make_response(["北京"]))
    assert found == pytest.approx(2 * 2 / (2 + 3))
