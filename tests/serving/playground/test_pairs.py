"""Blind comparisons: sides are even, and a second vote is not blind."""

import random

from tf_tokenrl.serving.playground.pairs import Pairs


def test_sides_are_even():
    pairs = Pairs(random.Random(5))
    left = sum(pairs.deal(("a", "b"))["left"] == "a" for _ in range(400))
    assert 170 <= left <= 230  # 99.7%
    assert set(pairs.deal(("a", "b")).values()) == {"a", "b"}


def test_only_the_first_vote_is_blind():
    pairs = Pairs()
    pairs.show({"k1": "left", "k2": "right"})
    vote = {"kind": "pair", "answer": "k2", "other": "k1"}
    assert pairs.place(vote) == {**vote, "side": "right", "blind": True}
    pairs.close(vote)
    assert pairs.place(vote) == {**vote, "side": "", "blind": False}


def test_a_client_cannot_claim_to_be_blind():
    claim = {"side": "left", "blind": True, "kind": "pair"}
    placed = Pairs().place({**claim, "answer": "x", "other": "y"})
    assert (placed["side"], placed["blind"]) == ("", False)


def test_other_judgements_stay_as_they_are():
    said = {"kind": "thumb", "answer": "k1", "score": 1}
    assert Pairs().place(said) == said
