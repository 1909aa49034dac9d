"""chrF against sacrebleu and by hand."""

import pytest
import sacrebleu

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

REFERENCES = ("The cat sat on the mat.", "A cat, on the mat, sat.")


@pytest.mark.parametrize("word_order", [0, 2])
@pytest.mark.parametrize(
    "answer", ["The cat sat on a mat", "cat", "xyz", "", REFERENCES[1]]
)
def test_it_is_what_sacrebleu_computes(make_response, answer, word_order):
    reward = rewards.get("chrf", word_order=word_order)
    score = reward.score(Example("x", REFERENCES), make_response([answer]))
    expected = sacrebleu.sentence_chrf(
        answer, REFERENCES, word_order=word_order
    )
    assert score == pytest.approx(expected.score / 100)


def test_by_hand(make_response):
    """One letter of two right: only n = 1 and 2 can be counted."""
    reward, example = rewards.get("chrf"), Example("x", ("ab",))
    precision = recall = (1 / 2 + 0 / 1) / 2
    expected = 5 * precision * recall / (4 * precision + recall)
    score = reward.score(example, make_response(["ac"]))
    assert score == pytest.approx(expected)
    assert reward.score(example, make_response(["ab"])) == pytest.approx(1)


def test_without_references_it_is_nothing(make_response):
    assert rewards.get("chrf").score(Example("x"), make_response(["a"])) == 0


@pytest.mark.parametrize("word_order", [-1, 1.5, "2"])
def test_word_order_is_a_whole_number(word_order):
    with pytest.raises(TokenRLError, match="word_order"):
        rewards.get("chrf", word_order=word_order)
