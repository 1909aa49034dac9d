"""METEOR by hand, from its equation."""

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.flow import Example


def by_hand(matches, found, wanted, chunks):
    precision, recall = matches / found, matches / wanted
    mean = 10 * precision * recall / (recall + 9 * precision)
    return mean * (1 - 0.5 * (chunks / matches) ** 3)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("the cat sat", by_hand(3, 3, 4, 1)),
        ("the cats SAT", by_hand(3, 3, 4, 1)),  # a stem, letter case
        ("sat the cat", by_hand(3, 3, 4, 2)),
        ("the feline sat", by_hand(2, 3, 4, 2)),  # no synonyms
        ("down a cat", by_hand(2, 3, 4, 2)),
        ("dog", 0.0),
        ("", 0.0),
    ],
)
def test_words_stems_and_chunks(make_response, answer, expected):
    example = Example("x", ("the cat sat down",))
    score = rewards.get("meteor").score(example, make_response([answer]))
    assert score == pytest.approx(expected)


def test_the_best_reference_counts(make_response):
    reward, answer = rewards.get("meteor"), make_response(["a b c"])
    assert reward.score(Example("x", ("z", "a b c")), answer) == pytest.approx(
        by_hand(3, 3, 3, 1)
    )
    assert reward.score(Example("x"), answer) == 0.0
    assert reward.score(Example("x", ("",)), answer) == 0.0


@pytest.mark.parametrize("text", ["猫坐在窗台上", "Кошка сидит"])
def test_every_script_has_words(make_response, text):
    score = rewards.get("meteor").score
    right = score(Example("x", (text,)), make_response([text]))
    part = score(Example("x", (text,)), make_response([text[:5]]))
    assert right > 0.9
    assert 0 < part < right or " " in text
