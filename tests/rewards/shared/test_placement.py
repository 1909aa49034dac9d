"""From characters to the tokens that hold them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl.flow import Response
from tf_tokenrl.rewards.shared.placement import Span, on_spans, words


def respond(pieces):
    offsets, end = [], 0
    for piece in pieces:
        offsets.append((end, end + len(piece)))
        end = offsets[-1][1]
    return Response("".join(pieces), (2,) * len(pieces), tuple(offsets), True)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 3, [6, 0, 0, 0]),
        (0, 4, [3, 3, 0, 0]),
        (2, 9, [2, 2, 2, 0]),
        (5, 6, [0, 0, 6, 0]),
        (4, 4, [0, 6, 0, 0]),  # inside " go"
        (3, 3, [0, 6, 0, 0]),  # between two tokens: the one that begins
        (13, 13, [0, 0, 0, 6]),  # behind the text: the stop token
        (40, 50, [0, 0, 0, 6]),
        (-5, -3, [6, 0, 0, 0]),
    ],
)
def test_a_span_is_shared_by_its_tokens(start, end, expected):
    response = respond(["She", " g", "o to it.", ""])
    assert on_spans(response, [Span(start, end, 6.0)]) == expected


@given(
    st.lists(st.sampled_from(["a", " be", "", "cat", " "]), min_size=1),
    st.lists(
        st.tuples(st.integers(-3, 30), st.integers(-3, 30), st.floats(-9, 9))
    ),
)
def test_nothing_is_lost(pieces, spans):
    spans = [Span(*s) for s in spans]
    scores = on_spans(respond(pieces), spans)
    assert len(scores) == len(pieces)
    assert sum(scores) == pytest.approx(sum(s.amount for s in spans))


def test_without_tokens_there_is_no_place():
    assert on_spans(respond([]), [Span(0, 1, 1.0)]) == []


@given(st.text())
def test_words_are_those_of_split(text):
    assert [text[a:b] for a, b in words(text)] == text.split()
