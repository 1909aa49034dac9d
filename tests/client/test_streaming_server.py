"""Pieces from the embedded server itself."""

import pytest

from tests.support import spelled
from tf_tokenrl.client import NotFound
from tf_tokenrl.serving import Flags, Server


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    base = spelled.put(tmp_path_factory.mktemp("m") / "speller", 7)
    flags = Flags(
        model_base_path=str(base),
        model_name="speller",
        port=0,
        enable_streaming=True,
    )
    with Server(flags) as server:
        yield f"localhost:{server.port}"


def test_an_answer_in_pieces(kind, streaming):
    with kind(streaming, model="speller") as client:
        pieces = list(client.stream("€ hello", seed=3))
        assert "".join(piece.text for piece in pieces) == "€ hello"
        ids = [i for piece in pieces for i in piece.token_ids]
        assert bytes(ids) == "€ hello".encode()
        assert pieces[-1].finish_reason == "stop"
        assert {piece.version for piece in pieces} == {7}
        limited = list(client.stream("ab", max_new_tokens=5, top_k=1))
        assert "".join(piece.text for piece in limited) == "ababa"
        assert limited[-1].finish_reason == "length"
        stopped = list(client.stream("abc", stop="c"))
        assert "".join(piece.text for piece in stopped) == "ab"


def test_a_model_that_fails(kind, streaming):
    with kind(streaming, model="nosuch") as client, pytest.raises(NotFound):
        list(client.stream("a"))
