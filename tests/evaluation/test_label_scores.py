"""Against scikit-learn 1.9.1 (words) and seqeval 1.2.2 (entities)."""

import numpy as np
import pytest

from tf_tokenrl.evaluation import Answers, label_scores
from tf_tokenrl.flow import Example, Response

GOLD = [
    "B-PER I-PER O B-LOC",
    "O O B-ORG",
    "B-LOC B-LOC O",
    "O",
    "B-PER I-PER I-PER O B-ORG",
]
FOUND = [
    "B-PER I-PER O B-ORG",
    "O O O",
    "B-LOC I-LOC O",
    "B-MISC",
    "B-PER I-PER O O B-ORG",
]


def answers(gold, found):
    examples = [Example("", (text,)) for text in gold]
    responses = [Response(text, (), (), True) for text in found]
    return Answers(examples, responses, None)


@pytest.fixture(scope="module")
def given():
    return answers(GOLD, FOUND)


def rounded(scores):
    return {name: tuple(np.round(s, 4)) for name, s in scores.labels.items()}


def test_words_are_scored_as_scikit_learn_does(given):
    scores = label_scores.word_scores(given)
    assert rounded(scores) == {
        "B-LOC": (1, 0.3333, 0.5, 3),
        "B-MISC": (0, 0, 0, 0),
        "B-ORG": (0.5, 0.5, 0.5, 2),
        "B-PER": (1, 1, 1, 2),
        "I-LOC": (0, 0, 0, 0),
        "I-PER": (1, 0.6667, 0.8, 3),
        "O": (0.7143, 0.8333, 0.7692, 6),
    }
    np.testing.assert_allclose(
        scores.macro, (0.602041, 0.476190, 0.509890, 16), atol=1e-6
    )
    assert set(scores.micro[:3]) == {0.6875}


def test_entities_are_scored_as_seqeval_does(given):
    scores = label_scores.entity_scores(given)
    assert rounded(scores) == {
        "LOC": (0, 0, 0, 3),
        "MISC": (0, 0, 0, 0),
        "ORG": (0.5, 0.5, 0.5, 2),
        "PER": (0.5, 0.5, 0.5, 2),
    }
    np.testing.assert_allclose(
        scores.micro, (0.333333, 0.285714, 0.307692, 7), atol=1e-6
    )
    np.testing.assert_allclose(scores.macro, (0.25, 0.25, 0.25, 7))


def test_texts_are_scored_whole():
    scores = label_scores.text_scores(
        answers(["so so", "good", "good"], ["so so", "so so", "good"])
    )
    assert rounded(scores) == {
        "good": (1, 0.5, 0.6667, 2),
        "so so": (0.5, 1, 0.6667, 1),
    }
    assert scores.micro.f1 == pytest.approx(2 / 3)


def test_the_interval_covers_what_resampling_gives():
    rng = np.random.default_rng(0)
    found = rng.choice(["good", "bad"], 400, p=[0.8, 0.2])
    scores = label_scores.text_scores(answers(["good"] * 400, list(found)))
    mean, low, high = scores.micro_f1
    assert mean == scores.micro.f1 == (found == "good").mean()
    spread = 1.96 * np.sqrt(mean * (1 - mean) / 400)
    np.testing.assert_allclose(
        [low, high], [mean - spread, mean + spread], atol=0.01
    )


def test_nothing_wanted_and_nothing_found_is_0():
    scores = label_scores.entity_scores(answers(["O O"], ["O O"]))
    assert scores.labels == {} and scores.micro == (0, 0, 0, 0)
    assert scores.micro_f1 == (0, 0, 0)


def test_the_table_has_a_line_for_each_label(given):
    lines = label_scores.table(label_scores.entity_scores(given)).split("\n")
    assert [line.split()[0] for line in lines[1:]] == [
        *("LOC", "MISC", "ORG", "PER", "macro", "micro")
    ]
    assert lines[4].split() == ["PER", "0.5000", "0.5000", "0.5000", "2"]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("gold", "found", "lenient", "strict"),
    [
        ("B-X I-X", "I-X I-X", 1, 0),
        ("B-P E-P S-P", "B-P I-P S-P", 1, 2 / 3),
        ("B-X E-X B-X E-X", "B-X I-X I-X E-X", 0, 0),
        ("B-P L-P U-P", "B-P L-P U-P", 1, 1),
        ("B-X I-Y", "B-X I-Y", 1, 1),
    ],
)
def test_strict_entities_are_begun_and_ended(gold, found, lenient, strict):
    """The first three by seqeval's modes default and strict."""
    given = answers([gold], [found])
    assert label_scores.entity_scores(given).micro.f1 == pytest.approx(lenient)
    scores = label_scores.entity_scores(given, strict=True)
    assert scores.micro.f1 == pytest.approx(strict)
