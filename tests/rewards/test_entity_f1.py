"""Entities as seqeval finds them, and what each earns."""

import hashlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rewards.test_token_accuracy import respond
from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.rewards.entity_f1 import entities

TAGS = ("O", "B-A", "I-A", "B-B", "I-B", "E-A", "S-B")
tags = st.lists(st.sampled_from(TAGS), min_size=1, max_size=8)

# Of json.dumps([get_entities(list(t)) for n in 1..4 for t in product(TAGS,
# repeat=n)]), made by seqeval 1.2.2.
SEQEVAL = "3f4c0d1bdd2f6e476430a4c55ac2e509166047633e8473d793068f9eacbb2469"


def test_all_short_sequences_have_the_entities_of_seqeval():
    found = [
        entities(sequence)
        for length in range(1, 5)
        for sequence in itertools.product(TAGS, repeat=length)
    ]
    digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()
    assert len(found) == 2800
    assert digest == SEQEVAL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B-A I-A O", [("A", 0, 1)]),
        ("I-A I-B", [("A", 0, 0), ("B", 1, 1)]),
        ("B-A B-A", [("A", 0, 0), ("A", 1, 1)]),
        ("B-A I-B E-B O S-A", [("A", 0, 0), ("B", 1, 2), ("A", 4, 4)]),
        ("B-A-b I-A-b", [("A-b", 0, 1)]),
        ("B In Berlin - I", [("", 0, 0), ("", 4, 4)]),
        ("B_A I_A O", [("A", 0, 1)]),
        ("A-B A-I O C-B", [("A", 0, 1), ("C", 3, 3)]),
        ("B I O B", [("", 0, 1), ("", 3, 3)]),
        ("B-A I-A L-A O U-C", [("A", 0, 2), ("C", 4, 4)]),
        ("B-A L-A B-A L-A", [("A", 0, 1), ("A", 2, 3)]),
        ("3 4 0 5", []),
        ("", []),
    ],
)
def test_entities(text, expected):
    assert entities(text.split()) == expected


@pytest.mark.parametrize(
    ("statistic", "part"),
    [("precision", 1 / 2), ("recall", 1 / 3), ("f1", 2 / 5)],
)
def test_a_token_earns_what_it_adds_to_the_score(statistic, part):
    """Found: A at 0-1, B at 3. Wanted: A at 0-1, A at 3, B at 4."""
    reward = rewards.get("entity_f1", statistic=statistic)
    scores = reward.score(
        Example("x", ("B-A I-A O B-A B-B",)),
        respond(["B-A", "I-A", "O", "B-B", "O"]),
    )
    alone = {"precision": 1, "recall": 1 / 3, "f1": 2 / 4}[statistic]
    expected = [0, alone, 0, part - alone, 0]
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_the_tag_behind_an_entity_decides():
    score = rewards.get("entity_f1").score
    example = Example("x", ("B-A O",))
    np.testing.assert_allclose(score(example, respond(["B-A", "O"])), [1, 0])
    np.testing.assert_allclose(score(example, respond(["B-A", "I-A"])), [1, -1])


def test_half_an_entity_is_none():
    reward = rewards.get("entity_f1")
    example = Example("x", ("B-A I-A",))
    assert sum(reward.score(example, respond(["B-A", "O"]))) == 0
    assert sum(reward.score(example, respond(["B-A", "I-A"]))) == 1


@given(tags, tags)
def test_the_sum_is_f1(chosen, gold):
    found, wanted = set(entities(chosen)), set(entities(gold))
    total = len(found) + len(wanted)
    expected = 2 * len(found & wanted) / total if total else 1
    scores = rewards.get("entity_f1").score(
        Example("x", ("", " ".join(gold)) if total else (" ".join(gold),)),
        respond(chosen),
    )
    if not found:  # the empty reference suits such an answer
        expected = 1
    assert sum(scores) == pytest.approx(expected)


def test_nothing_to_find_and_nothing_found_is_right():
    reward, example = rewards.get("entity_f1"), Example("x", ("O O",))
    assert reward.score(example, respond(["O", "O"])) == [1, 0]
    assert sum(reward.score(example, respond(["O", "B-A"]))) == 0
    assert sum(reward.score(Example("x"), respond(["O", "O"]))) == 0


def test_a_wrong_entity_costs():
    """Found: A at 0-1, B at 3. Wanted: A at 0-1, A at 3, B at 4."""
    example = Example("x", ("B-A I-A O B-A B-B",))
    response = respond(["B-A", "I-A", "O", "B-B", "O"])
    score = rewards.get("entity_f1", wrong=-0.5).score
    # Of the tags so far: one wrong of 1 + 3; one right of 1 + 3; one of each.
    worths = np.array([-0.25, 0.5, 0.5, 0.2, 0.2])
    steps = np.diff(worths, prepend=0.0)
    np.testing.assert_allclose(score(example, response), steps, atol=1e-12)
    score = rewards.get("entity_f1", rate=False, wrong=-0.5).score
    steps = [-0.5, 1.5, 0, -0.5, 0]
    np.testing.assert_allclose(score(example, response), steps)
    nothing = Example("x", ("O O",))
    assert score(nothing, respond(["O", "O"])) == [0, 0]
    assert score(nothing, respond(["B-A", "O"])) == [-0.5, 0]
    best = Example("x", ("B-A O", "O B-A"))
    assert score(best, respond(["O", "B-A"])) == [0, 1]


@given(st.lists(st.tuples(tags, tags, tags), min_size=1, max_size=5))
def test_what_pays_raises_the_f1_of_all_texts(texts):
    """`wrong` = -F / (2 - F): an answer that earns more has a higher F1."""
    gold = [set(entities(g)) for _, _, g in texts]

    def f1(answers):
        found = [set(entities(a)) for a in answers]
        right = sum(len(a & g) for a, g in zip(found, gold, strict=True))
        total = sum(map(len, found)) + sum(map(len, gold))
        return 2 * right / total if total else 0.0

    now = [a for a, _, _ in texts]
    before = f1(now)
    reward = rewards.get("entity_f1", rate=False, wrong=-before / (2 - before))

    def earned(answers):
        rows = zip(answers, texts, strict=True)
        return sum(
            sum(reward.score(Example("x", (" ".join(g),)), respond(a)))
            for a, (_, _, g) in rows
        )

    later = [a for _, a, _ in texts]
    gain, rise = earned(later) - earned(now), f1(later) - before
    if gain > 1e-9:
        assert rise > 0
    elif gain < -1e-9:
        assert rise < 0


def test_unknown_statistics_are_named():
    with pytest.raises(TokenRLError, match="'f2'.*f1, precision, recall"):
        rewards.get("entity_f1", statistic="f2")


@pytest.mark.parametrize(
    ("gold", "chosen"),
    [
        ("3 4 0 5", "0 0 1 2"),
        ("3 4 0 5", "3 4 0 5"),  # numbers are tags of no scheme
        ("NN VB", "NN VB"),
        ("B I O B", "O O B O"),
        ("B_A I_A O B_C", "O O B_A O"),
        ("A-B A-I O C-B", "O O A-B O"),
        ("B-A L-A O U-C", "O O U-C O"),
    ],
)
def test_wrong_tags_of_any_scheme_earn_nothing(gold, chosen):
    score = rewards.get("entity_f1").score
    assert sum(score(Example("x", (gold,)), respond(chosen.split()))) == 0


def test_texts_without_entities_do_not_lift_the_score_of_all():
    """A tagger that says O everywhere has F1 0, whatever the rows."""
    reward = rewards.get("entity_f1")
    golds = ["O O", "B-A I-A", "O O", "O B-C"]
    rows = [
        reward.counts(Example("x", (gold,)), respond(["O", "O"]))
        for gold in golds
    ]
    assert reward.pooled(np.sum(rows, axis=0)[None]) == [0]
    right = [
        reward.counts(Example("x", (gold,)), respond(gold.split()))
        for gold in golds
    ]
    assert reward.pooled(np.sum(right, axis=0)[None]) == [1]
    mixed = np.sum([*rows[:2], *right[2:]], axis=0)
    assert reward.pooled(mixed[None]) == pytest.approx(2 * 1 / (1 + 2))


@given(st.lists(st.tuples(tags, tags), min_size=1, max_size=5))
def test_the_score_of_all_is_micro_f1(texts):
    reward = rewards.get("entity_f1")
    rows = [
        reward.counts(Example("x", (" ".join(gold),)), respond(chosen))
        for gold, chosen in texts
    ]
    right = found = wanted = 0
    for gold, chosen in texts:
        g, c = set(entities(gold)), set(entities(chosen))
        right, found = right + len(g & c), found + len(c)
        wanted += len(g)
    expected = 2 * right / (found + wanted) if right else 0
    pooled = reward.pooled(np.sum(rows, axis=0)[None])
    assert pooled == pytest.approx(expected)
