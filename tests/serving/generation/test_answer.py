import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import tiny
from tf_tokenrl.serving.generation.answer import (
    Answer,
    Emitted,
    settled,
    token_texts,
)
from tf_tokenrl.text.tokenizer import load_processor

TEXT = st.text("ab€é🦊.\n", max_size=12)


def prefixes(data, cuts):
    """The answer after each token: bytes, cut anywhere."""
    places = sorted({*(c % (len(data) + 1) for c in cuts), len(data)})
    return [data[:place] for place in places]


def told(texts, advances, stop=(), ended=True):
    """Every piece of an answer whose tokens come in groups."""
    answer, pieces, start = Answer(stop), [], 0
    for size in [*advances, len(texts)]:
        group = texts[start : start + size]
        start += size
        last = start >= len(texts)
        pieces.append(answer.add(group, ended and last, True))
        if pieces[-1].finish or last:
            return pieces
    return pieces


@given(
    text=TEXT,
    cuts=st.lists(st.integers(0, 99)),
    advances=st.lists(st.integers(1, 4)),
)
def test_pieces_are_whole_characters_and_together_the_answer(
    text, cuts, advances
):
    pieces = told(prefixes(text.encode(), cuts), advances)
    assert "".join(piece.text for piece in pieces) == text
    assert not any("\ufffd" in piece.text for piece in pieces)
    assert [p.finish for p in pieces] == [""] * (len(pieces) - 1) + ["stop"]


@given(
    text=TEXT,
    cuts=st.lists(st.integers(0, 99)),
    advances=st.lists(st.integers(1, 4)),
    stop=st.lists(st.text("ab.", min_size=1, max_size=3), max_size=2),
)
def test_nothing_of_a_stop_text_is_told(text, cuts, advances, stop):
    texts = prefixes(text.encode(), cuts)
    pieces = told(texts, advances, tuple(stop))
    ends = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    expected = text[: min(ends)[1]] if ends else text
    assert "".join(piece.text for piece in pieces) == expected
    assert pieces[-1].finish == "stop"


@given(text=TEXT, size=st.integers(1, 5))
def test_how_tokens_are_grouped_changes_nothing(text, size):
    texts = [text.encode()[: n + 1] for n in range(len(text.encode()))]
    if not texts:
        return
    kept = []
    for advances in ([1] * len(texts), [size] * len(texts)):
        pieces = told(texts, advances, ("b.",))
        kept.append(sum(piece.tokens for piece in pieces))
    assert kept[0] == kept[1]


def test_bytes_that_are_no_text_are_told_at_the_end():
    answer = Answer()
    assert answer.add([b"a\xe2"], False, False) == Emitted("a", 1, "")
    assert answer.add([b"a\xe2\x82"], False, False) == Emitted("", 1, "")
    assert answer.add([b"a\xe2\x82"], True, False) == Emitted(
        "\ufffd", 1, "length"
    )


def test_a_character_that_a_tokenizer_has_not_completed_is_held_back():
    answer = Answer()
    broken = "a\ufffd".encode()
    assert answer.add([broken], False, False).text == "a"
    assert answer.add(["aé".encode()], False, False).text == "é"


@pytest.mark.parametrize("final", [False, True])
def test_settled(final):
    assert settled("é".encode(), final) == "é"
    assert settled(b"\xc3", final) == ("\ufffd" if final else "")


@given(ids=st.lists(st.integers(3, 30), max_size=9))
def test_what_tokens_add_is_together_the_text(ids):
    processor = load_processor(tiny.tokenizer().proto)
    prefixes = [ids[: n + 1] for n in range(len(ids))]
    texts = [processor.decode(prefix).encode() for prefix in prefixes]
    added = token_texts(b"", texts, final=True)
    assert b"".join(added) == (texts[-1] if texts else b"")


def test_a_token_that_completes_a_character_adds_it():
    texts = [b"a", "a\ufffd".encode(), "aé".encode()]
    assert token_texts(b"", texts) == [b"a", b"", "é".encode()]
    assert token_texts(texts[1], texts[2:]) == ["é".encode()]


def test_a_character_that_is_never_completed_is_added_at_the_end():
    texts = [b"a", "a\ufffd".encode(), "a\ufffd\ufffd".encode()]
    added = token_texts(b"", texts, final=True)
    assert added == [b"a", b"", "\ufffd\ufffd".encode()]
