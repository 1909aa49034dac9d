"""Over HTTP: server-sent events and OpenAI's paths."""

import http.client
import json
import threading

import pytest

from tests.support.spelled import spelling
from tf_tokenrl.client.protos import StreamRequest
from tf_tokenrl.serving.generation.service import generation_request
from tf_tokenrl.serving.metrics import REGISTRY

ENDLESS = 1 << 20
SECONDS = 20
COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"


@pytest.fixture
def connect(streaming_server):
    opened = []

    def connect():
        port = streaming_server.http_port
        connection = http.client.HTTPConnection("127.0.0.1", port, SECONDS)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def post(connect):
    def post(path, **body):
        connection = connect()
        connection.request("POST", path, json.dumps(body))
        return connection.getresponse()

    return post


@pytest.fixture
def ask(post):
    """The status and the JSON of a reply."""

    def ask(path, **body):
        response = post(path, **{"model": "speller", **body})
        return response.status, json.loads(response.read())

    return ask


@pytest.fixture
def listen(post):
    """The events of a stream, but for the mark at its end."""

    def listen(path, **body):
        body = {"model": "speller", "stream": True, **body}
        response = post(path, **body)
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        *events, end = events_of(response.read())
        assert end == "[DONE]"
        return [json.loads(event) for event in events]

    return listen


def events_of(data):
    *events, rest = data.decode().split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") for event in events)
    return [event.removeprefix("data: ") for event in events]


@pytest.mark.parametrize("prompt", ["hello", "€ 🦊 é"])
def test_server_sent_events_are_the_messages_of_grpc(post, prompt):
    response = post(
        "/tf_tokenrl/v1/stream",
        model_spec={"name": "speller"},
        prompt=prompt,
        seed=2,
    )
    events = [json.loads(event) for event in events_of(response.read())]
    data = spelling(prompt.encode())
    assert "".join(event["text"] for event in events) == prompt
    assert [i for e in events for i in e["token_ids"]] == [*data]
    assert events[-1]["finish_reason"] == "stop"
    assert events[0]["log_probs"] == [-2.0]
    assert not any("\ufffd" in event["text"] for event in events)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"model_spec": {"name": "x"}}, 404, "Servable not found"),
        ({"prompt": "a"}, 400, "Missing ModelSpec"),
        ({"prompt": 3}, 400, "JSON Parse error"),
        ({"colour": 3}, 400, "JSON Parse error"),
        ({"model_spec": {"name": "mute"}}, 400, "cannot stream"),
    ],
)
def test_what_goes_wrong_is_said(post, body, status, text):
    response = post("/tf_tokenrl/v1/stream", **body)
    assert response.status == status
    assert text in json.loads(response.read())["error"]


def test_a_completion(ask):
    status, reply = ask(
        COMPLETIONS,
        prompt=["ab", "€"],
        n=2,
        seed=4,
        max_tokens=3,
        logprobs=0,
    )
    assert status == 200
    assert reply["system_fingerprint"] == "speller/7"
    texts = [choice["text"] for choice in reply["choices"]]
    assert texts == ["aba", "aba", "€", "€"]
    log_probs = [c["logprobs"]["token_logprobs"] for c in reply["choices"]]
    assert [p[0] for p in log_probs] == [-4.0, -5.0, -4.0, -5.0]
    assert reply["usage"] == {
        "prompt_tokens": 2 + 3,
        "completion_tokens": 12,
        "total_tokens": 17,
    }


def test_a_streamed_completion_is_the_same(ask, listen):
    body = dict(prompt="€ uro", max_tokens=9, seed=1)
    _, whole = ask(COMPLETIONS, **body)
    chunks = listen(COMPLETIONS, **body, stream_options={"include_usage": True})
    text = "".join(c["choices"][0]["text"] for c in chunks[:-1])
    assert text == whole["choices"][0]["text"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["usage"] == whole["usage"]


def test_a_chat(ask, listen):
    messages = [
        {"role": "system", "content": "ab"},
        {"role": "user", "content": "é"},
    ]
    _, whole = ask(CHAT, messages=messages, max_completion_tokens=6)
    content = whole["choices"][0]["message"]["content"]
    assert content == "ab\néa"
    chunks = listen(CHAT, messages=messages, max_completion_tokens=6)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(d.get("content", "") for d in deltas) == content


def test_what_cannot_be_done_is_said_as_openai_does(ask, connect):
    status, reply = ask(COMPLETIONS, prompt="a", echo=True, logprobs=1)
    assert (status, reply["error"]["param"]) == (400, "echo")
    status, reply = ask(COMPLETIONS, model="x", prompt="a")
    assert status == 404
    assert reply["error"]["code"] == "model_not_found"
    status, reply = ask(CHAT, model="mute", messages=[{"role": "u"}])
    assert status == 400
    connection = connect()
    connection.request("POST", COMPLETIONS, "{")
    response = connection.getresponse()
    assert response.status == 400
    assert json.loads(response.read())["error"]["type"] == (
        "invalid_request_error"
    )


def test_a_model_that_fails_says_so(ask, post):
    status, reply = ask(COMPLETIONS, prompt="fail")
    assert status == 400 and "told to fail" in reply["error"]["message"]
    response = post(COMPLETIONS, model="speller", prompt="fail", stream=True)
    assert response.status == 400  # for nothing had been sent yet
    assert "told to fail" in json.loads(response.read())["error"]["message"]


def test_the_real_paths_still_answer(connect):
    connection = connect()
    connection.request("GET", "/v1/models/speller")
    assert connection.getresponse().status == 200


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_slot(
    connect, ask, slots_in_use, stream
):
    """The server has two slots."""
    connections = [connect(), connect()]
    for connection in connections:
        body = {"model": "speller", "prompt": "a", "stream": stream}
        connection.request(
            "POST", COMPLETIONS, json.dumps({**body, "max_tokens": ENDLESS})
        )
    wait(lambda: slots_in_use() == 2)
    for connection in connections:
        connection.close()
    assert ask(COMPLETIONS, prompt="next", max_tokens=4)[0] == 200
    wait(lambda: slots_in_use() == 0)


def wait(true):
    for _ in range(SECONDS * 1000):
        if true():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came true")


def get(connect, path):
    connection = connect()
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_models_are_listed_for_openais_clients(connect):
    status, listed = get(connect, "/v1/models")
    assert (status, listed["object"]) == (200, "list")
    assert [model["id"] for model in listed["data"]] == ["mute", "speller"]
    status, one = get(connect, "/v1/models/speller")
    assert status == 200
    assert listed["data"][1].items() <= one.items()
    assert one["object"] == "model" and one["created"] > 0
    states = [v["state"] for v in one["model_version_status"]]
    assert states == ["AVAILABLE"]  # what TensorFlow Serving's clients read
    assert get(connect, "/v1/models/nobody")[0] == 404


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "field", "body"),
    [
        (COMPLETIONS, "prompt", {"prompt": "abc"}),
        (CHAT, "messages", {"messages": [{"role": "user", "content": "abc"}]}),
    ],
)
def test_a_prompt_that_would_be_cut_is_refused(ask, path, field, body, stream):
    """The speller says so of whoever asks for a top_k."""
    status, reply = ask(path, **body, top_k=1, stream=stream)
    assert status == 400
    assert reply["error"]["code"] == "context_length_exceeded"
    assert reply["error"]["param"] == field
    assert ask(path, **body)[0] == 200


def test_a_cut_prompt_of_an_event_stream_is_told_and_counted(post):
    def cuts():
        name = "tf_tokenrl_truncated_prompts_total"
        return REGISTRY.get_sample_value(name)

    before = cuts()
    response = post(
        "/tf_tokenrl/v1/stream",
        model_spec={"name": "speller"},
        prompt="ab",
        top_k=1,
    )
    events = [json.loads(event) for event in events_of(response.read())]
    assert all(event["truncated"] for event in events)
    assert cuts() == before + 1


@pytest.mark.parametrize("top_p", [0, 0.5, 1])
def test_a_top_p_of_zero_is_not_the_same_as_none(top_p):
    """As OpenAI and the graph have it: 0 keeps the likeliest token alone."""
    message = StreamRequest(prompt=b"a", top_p=top_p)
    assert generation_request(message).top_p == top_p
    assert generation_request(StreamRequest(prompt=b"a")).top_p == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": "NaN"},
        {"temperature": "Infinity"},
        {"top_p": "NaN"},
        {"top_p": -0.5},
        {"top_p": 1.5},
        {"max_new_tokens": 1.5},
        {"prompt": "\ud800"},
        {"stop": ["a"] * 17},
        {"stop": ["a" * 1025]},
        {"prompt": "a" * (2**20 + 1)},
    ],
)
def test_what_has_no_meaning_is_refused(post, wrong):
    body = {"model_spec": {"name": "speller"}, "prompt": "a", **wrong}
    response = post("/tf_tokenrl/v1/stream", **body)
    assert response.status == 400
    assert json.loads(response.read())["error"]


def test_half_a_surrogate_pair_is_no_text(ask):
    for path, body in (
        (COMPLETIONS, {"prompt": "\ud800"}),
        (CHAT, {"messages": [{"role": "user", "content": "\udfff"}]}),
    ):
        status, reply = ask(path, **body)
        assert status == 400 and "not valid JSON" in reply["error"]["message"]


def test_a_long_prompt_of_openais_is_refused_at_once(ask):
    status, reply = ask(COMPLETIONS, prompt="a" * (2**20 + 1))
    assert status == 400
    assert reply["error"]["code"] == "context_length_exceeded"


def test_other_methods_and_long_bodies_have_openais_shape(connect, post):
    connection = connect()
    connection.request("GET", COMPLETIONS)
    response = connection.getresponse()
    error = json.loads(response.read())["error"]
    assert (response.status, error["type"]) == (405, "invalid_request_error")
    assert response.headers["allow"] == "POST"


def test_nginx_is_told_not_to_collect_the_pieces(post):
    response = post(COMPLETIONS, model="speller", prompt="a", stream=True)
    assert response.headers["x-accel-buffering"] == "no"
    response.read()


def test_echo(ask, listen):
    body = dict(prompt="ab", max_tokens=3, echo=True)
    assert ask(COMPLETIONS, **body)[1]["choices"][0]["text"] == "ababa"
    chunks = listen(COMPLETIONS, **body)
    texts = [chunk["choices"][0]["text"] for chunk in chunks]
    assert "".join(texts) == "ababa"
