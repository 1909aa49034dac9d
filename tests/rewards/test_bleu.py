"""BLEU against sacrebleu, prefix by prefix."""

import numpy as np
import pytest
import sacrebleu

from tf_tokenrl import rewards
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
