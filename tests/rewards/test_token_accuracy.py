"""Right words at the right place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl import rewards
from tf_tokenrl.flow import Example, Response

tags = st.lists(st.sampled_from(["O", "B-A", "I-A"]), max_size=8)


def respond(words):
    """One token per tag, as a policy that tags answers."""
    ends = np.cumsum([0, *(len(w) + (i > 0) for i, w in enumerate(words))])
    offsets = tuple(zip(ends.tolist(), ends[1:].tolist(), strict=False))
    return Response(" ".join(words), (5,) * len(words), offsets, True)


def test_each_right_tag_earns_its_part():
    example = Example("x", ("O B-A I-A O",))
    response = respond(["O", "B-A", "O", "O"])
    score = rewards.get("token_accuracy").score
    assert score(example, response) == [0.25, 0.25, 0, 0.25]
    count = rewards.get("token_accuracy", rate=False).score
    assert count(example, response) == [1, 1, 0, 1]


@given(chosen=tags, gold=tags)
def test_the_sum_is_the_accuracy(chosen, gold):
    response, example = respond(chosen), Example("x", (" ".join(gold),))
    size = max(len(chosen), len(gold))
    right = sum(a == b for a, b in zip(chosen, gold, strict=False))
    total = sum(rewards.get("token_accuracy").score(example, response))
    assert total == pytest.approx(right / size if chosen else 0)


def test_a_word_too_many_costs_what_the_others_lose():
    score = rewards.get("token_accuracy").score
    scores = score(Example("x", ("O O",)), respond(["O", "O", "O", "O"]))
    np.testing.assert_allclose(scores, [1 / 2, 1 / 2, -1 / 3, -1 / 6])
    count = rewards.get("token_accuracy", rate=False).score
    assert count(Example("x", ("O",)), respond(["O", "O"])) == [1, 0]


def test_the_token_that_ends_a_right_word_earns_it(make_response):
    response = make_response(["a", " ca", "t", " sat"])
    scores = rewards.get("token_accuracy").score(
        Example("x", ("the cat slept", "a cat slept")), response
    )
    np.testing.assert_allclose(scores, [1 / 3, 0, 1 / 3, 0, 0])


def test_nothing_wanted_and_nothing_said_is_right(make_response):
    reward, stop = rewards.get("token_accuracy"), make_response([])
    assert reward.score(Example("x", ("",)), stop) == [1]
    assert reward.score(Example("x", ("a",)), stop) == [0]
    assert reward.score(Example("x"), stop) == [0]
