"""Judgements as what learning wants: the right characters and amounts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl.feedback import Answer, Judged, Judgement, signals


def spelled(pieces):
    """Ends of tokens whose bytes are `pieces`, and the whole text."""
    data = b"".join(pieces)
    text = data.decode()
    ends, seen = [], b""
    for piece in pieces:
        seen += piece
        ends.append(len(seen.decode(errors="ignore")))
    return ends, text


def span(start, end, score=1.0, rater="r"):
    return Judgement(
        answer="a", kind="span", start=start, end=end, score=score, rater=rater
    )


def test_every_token_of_a_character_is_marked():
    pile = "💩".encode()
    pieces = [pile[:1], pile[1:3], pile[3:], b"This ", b"is", b" it"]
    ends, text = spelled(pieces)
    assert signals.tokens_of(0, 1, ends) == [0, 1, 2]
    assert signals.tokens_of(1, 5, ends) == [3]
    assert signals.tokens_of(text.index("is it"), len(text), ends) == [4, 5]


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧 family",
        "e\u0301te\u0301",
        "مرحبا بالعالم",
        "a\r\nb  ",
        "💩annotation.",
    ],
)
def test_a_marked_character_marks_all_of_its_bytes(text):
    """Each byte is a token, as where a tokenizer falls back to bytes."""
    pieces = [bytes([byte]) for byte in text.encode()]
    ends, _ = spelled(pieces)
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            first = len(text[:start].encode())
            last = len(text[:end].encode())
            found = signals.tokens_of(start, end, ends)
            assert found == list(range(first, last))


def test_a_stop_token_is_never_marked():
    assert signals.tokens_of(0, 3, [1, 3, 3]) == [0, 1]


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=8),
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 9), st.floats(-2, 2)),
        min_size=1,
        max_size=5,
    ),
)
def test_rewards_add_up_to_the_scores(steps, places):
    ends = [sum(steps[: t + 1]) for t in range(len(steps))]
    spans = [
        span(start, start + length, score)
        for start, length, score in places
        if start + length <= ends[-1]
    ]
    scores = [Judgement(answer="a", kind="score", score=s) for s in (1.0, 0.0)]
    rewards = signals.token_rewards([*spans, *scores], ends)
    total = sum(s.score for s in spans) + 0.5
    assert sum(rewards) == pytest.approx(total, abs=1e-9)


def test_raters_are_averaged():
    spans = [span(0, 2, 1.0, "one"), span(0, 1, -1.0, "two")]
    assert signals.token_rewards(spans, [1, 2]) == pytest.approx((-0.25, 0.25))


def test_each_kind_goes_its_way():
    first, second = (
        Answer(key=key, model="m", prompt="p", text=key) for key in "ab"
    )

    def judged(number, **fields):
        said = Judgement(key=str(number), answer="a", **fields)
        return Judged(number, said, first)

    every = [
        judged(1, kind="thumb", score=-1),
        judged(2, kind="edit", edit="old"),
        judged(3, kind="edit", edit="new"),
        Judged(
            4,
            Judgement(key="4", answer="a", kind="pair", other="b"),
            first,
            second,
        ),
        judged(5, kind="score", score=0.5),
    ]
    assert list(signals.opinions(every)) == [("p", "a", False, "1")]
    assert signals.better_texts(every) == {"p": ["new", "old"]}
    assert list(signals.preferences(every)) == [("p", "a", "b", "4")]
    (scored,) = signals.scored(every, lambda answer: [1, 1])
    assert scored.rewards == (0.0, 0.5)
