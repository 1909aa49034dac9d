"""ROUGE against the package rouge-score, prefix by prefix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.text.words import words

PIECES = [
    "Return",
    "s",
    " the",
    " sum",
    " returning",
    "-",
    "_x",
    " the",
    " ",
    "",
]
texts = st.lists(st.sampled_from(PIECES), max_size=9)


def library(variant, references, text, statistic="fmeasure", stemmer=False):
    """The library's score of a text, for its best reference."""
    scorer = RougeScorer([f"rouge{variant}"], use_stemmer=stemmer)
    scores = [
        scorer.score(reference, text)[f"rouge{variant}"]
        for reference in references
    ]
    return max(getattr(score, statistic) for score in scores)


def respond(pieces):
    ends = np.cumsum([0, *map(len, pieces)]).tolist()
    offsets = tuple(zip(ends, ends[1:], strict=False))
    return Response("".join(pieces), (2,) * len(pieces), offsets, False)


@settings(max_examples=60, deadline=None)
@given(
    variant=st.sampled_from(["1", "2", "3", "l"]),
    statistic=st.sampled_from(["precision", "recall", "fmeasure"]),
    stemmer=st.booleans(),
    reference=texts,
    answer=texts,
)
def test_every_prefix_scores_as_in_the_library(
    variant, statistic, stemmer, reference, answer
):
    reference, response = "".join(reference), respond(answer)
    reward = rewards.get(
        "rouge", variant=variant, statistic=statistic, stemmer=stemmer
    )
    gains = reward.score(Example("x", (reference,)), response)
    expected = [
        library(
            variant.upper(),
            [reference],
            response.text[:end],
            statistic,
            stemmer,
        )
        for _, end in response.offsets
    ]
    np.testing.assert_allclose(np.cumsum(gains), expected, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    variant=st.sampled_from(["1", "2", "l"]),
    references=st.lists(texts.map("".join), min_size=1, max_size=3),
    answer=texts,
)
def test_the_sum_is_the_score_for_the_best_reference(
    variant, references, answer
):
    example, response = Example("x", tuple(references)), respond(answer)
    dense = rewards.get("rouge", variant=variant)
    sparse = rewards.get("rouge", variant=variant, dense=False)
    final = library(variant.upper(), references, response.text)
    np.testing.assert_allclose(
        sum(dense.score(example, response)), final, atol=1e-9
    )
    np.testing.assert_allclose(sparse.score(example, response), final)


def test_a_longer_word_takes_back_the_match_of_a_shorter():
    example = Example("x", ("return the sum",))
    gains = rewards.get("rouge").score(
        example, respond(["Return", "s", " the"])
    )
    assert gains[0] > 0
    assert gains[1] == -gains[0]
    assert gains[2] > 0


def test_wrong_options_are_named():
    with pytest.raises(TokenRLError, match="variant 'sum'"):
        rewards.get("rouge", variant="sum")
    with pytest.raises(TokenRLError, match="statistic 'mean'"):
        rewards.get("rouge", statistic="mean")


TEXTS = {
    "Russian": "Кошка сидит на окне",
    "Hindi": "बिल्ली खिड़की पर बैठी है",
    "Greek": "Η γάτα κάθεται",
    "Arabic": "القط يجلس على النافذة",
    "Hebrew": "הֶחָתוּל יוֹשֵׁב",
    "Chinese": "猫坐在窗台上",
    "Thai": "แมวนั่งที่หน้าต่าง",
    "Korean": "고양이가 창가에 앉아 있다",
    "Vietnamese": "Con mèo ngồi bên cửa sổ",
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("variant", ["1", "2", "l"])
def test_a_perfect_answer_has_one_in_every_script(language, variant):
    text = TEXTS[language]
    reward = rewards.get("rouge", variant=variant)
    assert sum(
        reward.score(Example("x", (text,)), respond(list(text)))
    ) == pytest.approx(1)


class _Words:
    @staticmethod
    def tokenize(text):
        return words(text)


@given(
    st.sampled_from(sorted(TEXTS)), st.randoms(), st.sampled_from(["1", "2"])
)
def test_other_scripts_score_as_rouge_score_does_with_these_words(
    language, random, variant
):
    """The package takes a tokenizer: its counting is the oracle."""
    text = TEXTS[language]
    answer = "".join(random.sample(text, len(text)))
    scorer = RougeScorer([f"rouge{variant}"], tokenizer=_Words)
    expected = scorer.score(text, answer)[f"rouge{variant}"].fmeasure
    reward = rewards.get("rouge", variant=variant, dense=False)
    score = reward.score(Example("x", (text,)), respond([answer]))
    assert score == pytest.approx(expected)
