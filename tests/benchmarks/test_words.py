import numpy as np
import pytest

from benchmarks import words
from tf_tokenrl.errors import TokenRLError


def test_every_word_is_one_token_and_comes_back():
    tokenizer = words.tokenizer(50)
    texts = words.prompts(3, 7, 50)
    ids = tokenizer(texts)
    assert [[f"w{i}" for i in row] for row in ids] == [t.split() for t in texts]
    assert tokenizer.detokenize(ids) == texts


def test_a_vocabulary_needs_room_for_a_word():
    with pytest.raises(TokenRLError, match="more than 4"):
        words.tokenizer(4)


def test_lengths_have_the_mean_of_their_distribution():
    """E min(X, n) = (1 - (1 - p)^n) / p for X geometric."""
    drawn = words.lengths(20_000, 1 / 16, 128)
    assert drawn.min() == 1 and drawn.max() == 128
    expected = 16 * (1 - (15 / 16) ** 128)
    assert drawn.mean() == pytest.approx(expected, rel=0.03)


def test_without_a_stop_every_answer_is_as_long_as_it_may_be():
    np.testing.assert_array_equal(words.lengths(3, 0.0, 5), [5, 5, 5])
