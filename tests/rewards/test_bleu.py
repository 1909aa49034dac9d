"""BLEU against sacrebleu, prefix by prefix."""

import numpy as np
import pytest
import sacrebleu

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

REFERENCES = ("The cat sat on the mat.", "A cat, on the mat, sat.")


@pytest.fixture
def response(make_response):
    return make_response(
        ["The", " c", "at", " sat", " on", " the", " mat", " today", "."]
    )


@pytest.mark.parametrize("references", [REFERENCES, REFERENCES[1:]])
def test_every_prefix_scores_as_in_sacrebleu(response, references):
    gains = rewards.get("bleu").score(Example("x", references), response)
    expected = [
        sacrebleu.sentence_bleu(response.text[:end], references).score / 100
        for _, end in response.offsets
    ]
    np.testing.assert_allclose(np.cumsum(gains), expected)


def test_the_sum_is_the_score_at_the_end(response):
    example = Example("x", REFERENCES)
    dense = rewards.get("bleu").score(example, response)
    sparse = rewards.get("bleu", dense=False).score(example, response)
    np.testing.assert_allclose(sum(dense), sparse)


def test_the_reference_itself_scores_one(make_response):
    response = make_response([REFERENCES[0]])
    gains = rewards.get("bleu").score(Example("x", REFERENCES), response)
    np.testing.assert_allclose(gains, [1, 0])


@pytest.mark.parametrize("tokenize", ["13a", "intl", "zh", "char", "none"])
def test_sacrebleu_finds_the_words(make_response, tokenize):
    answer, wanted = "猫坐在窗台上。 It's 3.5!", "猫坐在桌子上。 It is 3.5!"
    reward = rewards.get("bleu", dense=False, tokenize=tokenize)
    score = reward.score(Example("x", (wanted,)), make_response([answer]))
    metric = sacrebleu.BLEU(tokenize=tokenize, effective_order=True)
    expected = metric.sentence_score(answer, [wanted]).score / 100
    assert score == pytest.approx(expected)


def test_an_unknown_tokenizer_is_named():
    with pytest.raises(TokenRLError, match='tokenizer "words".*13a'):
        rewards.get("bleu", tokenize="words")


@pytest.mark.parametrize("name", ["bleu", "chrf", "chrf(word_order=2)"])
def test_answers_pool_to_the_corpus_score(make_response, name):
    """Rows with one reference and with two; an empty answer counts too."""
    answers = ["the cat sat on the mat", "wrong words here", "", "he is here"]
    references = [("the cat sat on a mat",), ("a dog", "x y"), ("b",), ("he",)]
    reward = rewards.parse(name)
    rows = [
        reward.counts(Example("", given), make_response([answer]))
        for given, answer in zip(references, answers, strict=True)
    ]
    streams = [
        [given[0] for given in references],
        [given[1] if len(given) > 1 else None for given in references],
    ]
    metric = sacrebleu.BLEU()
    if name != "bleu":
        metric = sacrebleu.CHRF(word_order=2 if "2" in name else 0)
    expected = metric.corpus_score(answers, streams).score / 100
    pooled = reward.pooled(np.sum(rows, axis=0)[None])
    np.testing.assert_allclose(pooled, [expected])
