"""Answers step by step, by signatures that any server runs."""

import asyncio

import pytest

from tests.support import spelled
from tf_tokenrl.client import AsyncClient, InvalidArgument, NotFound
from tf_tokenrl.client.steps import steps
from tf_tokenrl.serving import Flags, Server


@pytest.fixture(scope="module")
def speller(tmp_path_factory):
    """A server without streaming: it speaks the stock server's API only."""
    base = spelled.put(tmp_path_factory.mktemp("m") / "speller", 7)
    flags = Flags(model_base_path=str(base), model_name="speller", port=0)
    with Server(flags) as server:
        yield f"localhost:{server.port}"


def written(address, prompt, model="speller", **options):
    async def write():
        async with AsyncClient(address, model) as client:
            return [step async for step in steps(client, prompt, **options)]

    return asyncio.run(write())


def test_texts_tokens_and_ends_grow_together(speller):
    text = "€ hello 💩"
    found = written(speller, text, seed=3, tokens=3)
    assert [step.finish for step in found] == ["", *[""] * 4, "stop"]
    assert found[-1].text == text
    assert all(text.startswith(step.text) for step in found)
    tokens = [token for step in found for token in step.tokens]
    assert bytes(token.id for token in tokens) == text.encode()
    ends = [token.end for token in tokens]
    data = text.encode()
    assert ends == [
        len(data[: n + 1].decode(errors="ignore")) for n in range(len(data))
    ]
    assert {step.version for step in found} == {7}
    assert tokens[1].log_prob == pytest.approx(-3.01)


def test_limits_and_bytes_that_are_no_character(speller):
    found = written(speller, "💩", max_new_tokens=6, top_k=1)
    assert (found[-1].finish, found[-1].truncated) == ("length", True)
    assert found[-1].text == "💩\ufffd"
    assert [t.end for s in found for t in s.tokens] == [0, 0, 0, 1, 1, 2]


def test_a_model_without_the_signatures_answers_at_once(address):
    (step,) = written(address, "abc", model="headline", label="stable")
    assert (step.text, step.version) == ("abc", 1)
    assert step.finish == "length"
    assert [token.end for token in step.tokens] == [-1, -1, -1]


def test_what_the_server_refuses_is_raised(speller):
    with pytest.raises(NotFound):
        written(speller, "a", model="nosuch")
    with pytest.raises(InvalidArgument, match="told to fail"):
        written(speller, "fail")
