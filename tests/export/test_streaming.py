"""Answers that are streamed are those of one request."""

import numpy as np
import pytest

from tests.support import exports
from tests.support.processes import serve_once
from tf_tokenrl.client import Client
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.serving.generation.convention import (
    GenerationRequest,
    Generator,
)
from tf_tokenrl.serving.generation.loop import Loop, Settings
from tf_tokenrl.serving.generation.pending_request import PendingRequest

STREAMING = ("llama", "gpt2", "lstm", "byte_pair", "bart")
REQUESTS = [
    GenerationRequest(b"the name of a given file"),
    GenerationRequest(b"", 12, 1.0),
    GenerationRequest(b"open", 13, 1.0, 1),
    GenerationRequest(b"the list", 14, 0.7, 3, 5, 0.9),
    GenerationRequest(b"the name of a list " * 9, 15, 1.0, 900),
    GenerationRequest(b"\xff\xfe", 16, 1.5),
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, marks=[pytest.mark.slow] if kind != "llama" else [])
        for kind in STREAMING
    ],
)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def servable(kind):
    return serve_once.load(str(exports.path(kind)))


@pytest.fixture(scope="module")
def expected(servable):
    """What one request for all of them gets."""
    names = ("seed", "temperature", "max_new_tokens", "top_k", "top_p")
    inputs = {name: [getattr(r, name) for r in REQUESTS] for name in names}
    inputs["prompt"] = [r.prompt.decode("latin-1") for r in REQUESTS]
    return serve_once.ask(servable, "serving_default", inputs)


@pytest.mark.parametrize(("slots", "steps"), [(2, 3), (16, 1), (1, 8)])
def test_streamed_answers_are_those_of_one_request(
    servable, expected, slots, steps
):
    loop = Loop(Generator(servable), Settings(slots, steps))
    pending = PendingRequest(REQUESTS)
    loop.submit(pending)
    pieces = [[] for _ in REQUESTS]
    for piece in pending:
        pieces[piece.row].append(piece)
    for row, answer in enumerate(pieces):
        tokens = [token for piece in answer for token in piece.tokens]
        count = expected["lengths"][row]
        assert [t.id for t in tokens] == expected["token_ids"][row][:count]
        for name in ("log_prob", "value"):
            np.testing.assert_allclose(
                [getattr(token, name) for token in tokens],
                expected[f"{name}s"][row][:count],
                atol=1e-5,
            )
        text = "".join(piece.text for piece in answer)
        whole = expected["text"][row].encode("latin-1")
        assert text == whole.decode("utf-8", "replace")
        stopped = answer[-1].finish == "stop"
        assert stopped == expected["stopped"][row]
        assert answer[0].truncated == expected["truncated"][row]
        limit = exports.policy("llama").max_prompt_tokens
        assert 1 <= answer[0].prompt_tokens <= max(limit, 20)


@pytest.fixture(scope="module")
def client(kind):
    """Of a server that streams the exported policy."""
    base = exports.path(kind).parent
    flags = Flags(model_base_path=str(base), port=0, enable_streaming=True)
    with (
        Server(flags) as server,
        Client(f"127.0.0.1:{server.port}", model="default") as opened,
    ):
        yield opened


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_over_the_wire_pieces_are_the_answer(client, temperature):
    for seed, prompt in enumerate(["the name of a file", "", "open the list"]):
        options = dict(seed=seed, temperature=temperature)
        reply = client.generate(prompt, **options)
        pieces = list(client.stream(prompt, **options))
        assert "".join(piece.text for piece in pieces) == reply.text
        ids = [i for piece in pieces for i in piece.token_ids]
        assert ids == list(reply.token_ids)
        log_probs = [p for piece in pieces for p in piece.log_probs]
        np.testing.assert_allclose(log_probs, reply.log_probs, atol=1e-5)
        assert (pieces[-1].finish_reason == "stop") == reply.stopped


def test_rows_leave_no_columns_behind(servable):
    """The state does not grow with the tokens that a loop has written."""
    generator = Generator(servable)
    state = generator.begin(REQUESTS[:1]).state
    sizes = set()
    for _ in range(3):
        state, _ = generator.advance(state, 1)
        sizes.add(sum(array.size for array in state.values()))
    for _ in range(30):  # long complete; only the bounds of the policy hold
        state, _ = generator.advance(state, 1)
    assert sum(array.size for array in state.values()) <= 2 * max(sizes)
