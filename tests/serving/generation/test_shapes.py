from tf_tokenrl.serving.generation.completions import Asked
from tf_tokenrl.serving.generation.convention import GenerationRequest
from tf_tokenrl.serving.generation.pending_request import Piece, Token
from tf_tokenrl.serving.generation.shapes import ChatCompletion, Completion


def asked(**changes):
    requests = [GenerationRequest(b"p"), GenerationRequest(b"p")]
    plain = Asked("m", requests, 2, False, False, False)
    return plain._replace(**changes)


def piece(index, text, finish=""):
    tokens = tuple(Token(7, -0.5, 0.0, part.encode()) for part in text.split())
    return Piece(index, text, tokens, finish, 3, False)


PIECES = [
    piece(0, "a "),
    piece(1, "x y"),
    piece(0, ""),
    piece(0, "b", "stop"),
    piece(1, "", "length"),
]
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def streamed(shape):
    chunks = [chunk for piece in PIECES for chunk in shape.chunks(piece)]
    return [*chunks, *shape.end()]


def test_a_whole_completion():
    reply = Completion(asked(), 7).whole(PIECES)
    assert reply["id"].startswith("cmpl-") and reply["created"] > 0
    assert reply["object"] == "text_completion"
    assert (reply["model"], reply["system_fingerprint"]) == ("m", "m/7")
    assert reply["usage"] == USAGE
    assert reply["choices"] == [
        {"index": 0, "text": "a b", "logprobs": None, "finish_reason": "stop"},
        {
            "index": 1,
            "text": "x y",
            "logprobs": None,
            "finish_reason": "length",
        },
    ]


def test_log_probs_of_a_completion():
    reply = Completion(asked(log_probs=True), 7).whole(PIECES)
    assert reply["choices"][1]["logprobs"] == {
        "tokens": ["x", "y"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": None,
        "text_offset": [0, 1],
    }


def test_echo_goes_before_the_answer_once():
    shape = Completion(asked(echo=True, log_probs=True), 7)
    chunks = [chunk["choices"][0] for chunk in streamed(shape)]
    texts = [
        "".join(c["text"] for c in chunks if c["index"] == i) for i in (0, 1)
    ]
    assert texts == ["pa b", "px y"]
    reply = Completion(asked(echo=True, log_probs=True), 7).whole(PIECES)
    assert [choice["text"] for choice in reply["choices"]] == texts
    assert reply["choices"][0]["logprobs"]["text_offset"] == [1, 2]


def test_a_character_of_several_tokens_is_shown_by_its_bytes():
    parts = [b"a", b"\xe2", b"\x82", b"\xac", b"b"]
    tokens = tuple(Token(7, -0.5, 0.0, part) for part in parts)
    one = Piece(0, "a€b", tokens, "stop", 3, False)
    two = Piece(1, "", (), "stop", 3, False)
    reply = Completion(asked(log_probs=True), 7).whole([one, two])
    log_probs = reply["choices"][0]["logprobs"]
    assert log_probs["text_offset"] == [0, 1, 1, 1, 2]
    written = ["a", "bytes:\\xe2", "bytes:\\x82", "bytes:\\xac", "b"]
    assert log_probs["tokens"] == written
    reply = ChatCompletion(asked(log_probs=True), 7).whole([one, two])
    content = reply["choices"][0]["logprobs"]["content"]
    assert bytes(sum((c["bytes"] for c in content), [])).decode() == "a€b"


def test_chunks_of_a_completion():
    chunks = streamed(Completion(asked(usage=True), 7))
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[-1]["usage"] == USAGE and chunks[-1]["choices"] == []
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    told = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert [(c["index"], c["text"], c["finish_reason"]) for c in told] == [
        (0, "a ", None),
        (1, "x y", None),
        (0, "b", "stop"),
        (1, "", "length"),
    ]


def test_a_whole_chat():
    reply = ChatCompletion(asked(log_probs=True), 7).whole(PIECES)
    assert reply["id"].startswith("chatcmpl-")
    assert reply["object"] == "chat.completion"
    choice = reply["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": "a b",
        "refusal": None,
    }
    assert choice["logprobs"]["content"][0] == {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [],
    }


def test_chunks_of_a_chat():
    chunks = streamed(ChatCompletion(asked(), 7))
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert not any("usage" in chunk for chunk in chunks)
    told = [chunk["choices"][0] for chunk in chunks]
    opening = {"role": "assistant", "content": ""}
    deltas = [c["delta"] for c in told if c["index"] == 0]
    assert deltas == [opening, {"content": "a "}, {"content": "b"}]
    deltas = [c["delta"] for c in told if c["index"] == 1]
    assert deltas == [opening, {"content": "x y"}, {}]
    assert told[-1]["finish_reason"] == "length"
