import json

import pytest

from tf_tokenrl.serving.generation.completions import (
    RequestError,
    parse,
    read_chat,
    read_completion,
)


def completion(**fields):
    return read_completion(parse(json.dumps({"model": "m", **fields}).encode()))


def chat(*messages, **fields):
    body = {"model": "m", "messages": list(messages), **fields}

    def template(given):
        return "|".join(f"{m['role']}:{m['content']}" for m in given)

    return read_chat(parse(json.dumps(body).encode()), template)


def test_what_is_not_said_is_as_openai_has_it():
    asked = completion(prompt="p")
    (request,) = asked.requests
    assert (asked.model, asked.choices, asked.stream) == ("m", 1, False)
    assert not asked.log_probs and not asked.usage
    assert request._replace(seed=0) == (
        *(b"p", 0, 1.0, 16, 0, 1.0, ()),
        True,
    )
    assert request.seed != completion(prompt="p").requests[0].seed
    assert completion().requests[0].prompt == b""


def test_every_prompt_gets_every_choice_with_a_seed_of_its_own():
    asked = completion(
        prompt=["é", "q"],
        n=2,
        seed=5,
        max_tokens=3,
        temperature=0.5,
        top_p=0.9,
        stop="\n",
        logprobs=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert [(w.prompt.decode(), w.seed) for w in asked.requests] == [
        ("é", 5),
        ("é", 6),
        ("q", 5),
        ("q", 6),
    ]
    assert {w[2:] for w in asked.requests} == {(0.5, 3, 0, 0.9, ("\n",), True)}
    assert asked.log_probs and asked.usage and asked.stream


def test_messages_become_a_prompt():
    asked = chat(
        {"role": "system", "content": "be"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        max_completion_tokens=4,
        logprobs=True,
        user="me",
    )
    (request,) = asked.requests
    assert (request.prompt, request.max_new_tokens) == (b"system:be|user:hi", 4)
    assert asked.log_probs
    assert chat({"role": "user", "content": ""}).requests[0].max_new_tokens == 0


@pytest.mark.parametrize(
    ("fields", "param", "text"),
    [
        ({"colour": 1}, None, "Unrecognized request argument supplied: colour"),
        ({"prompt": [1, 2]}, "prompt", "token ids are not supported"),
        ({"prompt": []}, "prompt", "a string or a list"),
        ({"temperature": 2.5}, "temperature", "less than or equal to 2"),
        ({"temperature": "hot"}, "temperature", "expected a valid number"),
        ({"temperature": float("nan")}, "temperature", "a finite number"),
        ({"top_p": float("inf")}, "top_p", "a finite number"),
        ({"top_p": -1}, "top_p", "greater than or equal to 0"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 1.5}, "max_tokens", "expected a valid integer"),
        ({"n": 129}, "n", "less than or equal to 128"),
        ({"n": 65, "prompt": ["a", "b"]}, "n", "128 answers at most"),
        ({"n": True}, "n", "expected a valid integer"),
        ({"stop": ["a"] * 5}, "stop", "up to four"),
        ({"stop": 3}, "stop", "up to four"),
        ({"stream": "yes"}, "stream", "expected a valid boolean"),
        ({"stream_options": {}, "n": "1"}, "n", "expected a valid integer"),
        (
            {"stream_options": {"include_usage": True}},
            "stream_options",
            "needs 'stream' true",
        ),
        ({"logprobs": 6}, "logprobs", "less than or equal to 5"),
        ({"seed": 2**63}, "seed", "Invalid value"),
        ({"echo": True, "logprobs": 1}, "echo", "log-probs of the prompt"),
        ({"top_k": 1.5}, "top_k", "expected a valid integer"),
        ({"tools": [{}]}, "tools", "not supported"),
        ({"presence_penalty": 1}, "presence_penalty", "not supported"),
        ({"logit_bias": {"1": 2}}, "logit_bias", "not supported"),
        ({"best_of": 2}, "best_of", "not supported"),
        ({"model": 3}, "model", "You must provide 'model'"),
    ],
)
def test_what_cannot_be_done_is_refused(fields, param, text):
    with pytest.raises(RequestError, match=text) as caught:
        completion(**fields)
    error = caught.value.body["error"]
    assert caught.value.status == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert text in error["message"]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        ["hi"],
        [{"role": "user", "content": "hi", "tool_calls": []}],
        [{"role": "user", "content": None}],
        [{"role": "user"}],
        [{"content": "hi"}],
        [{"role": "user", "content": [{"type": "image_url"}]}],
        [{"role": "user", "content": ["hi"]}],
    ],
)
def test_messages_that_are_none(messages):
    with pytest.raises(RequestError, match="messages") as caught:
        chat(*messages)
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 500_000, b'"\\ud800"']
)
def test_a_body_that_is_no_object(body):
    with pytest.raises(RequestError, match="The body of the request"):
        parse(body)


def test_fields_that_ask_for_nothing_are_accepted():
    completion(
        prompt="p",
        presence_penalty=0,
        frequency_penalty=0.0,
        logit_bias={},
        echo=False,
        suffix=None,
        repetition_penalty=1,
        min_p=0.0,
        best_of=1,
        seed=None,
        stop=None,
    )
    chat(
        {"role": "user", "content": "hi"},
        response_format={"type": "text"},
        top_logprobs=0,
        tools=[],
        tool_choice="none",
    )


def test_fields_that_do_not_concern_the_answer_are_accepted():
    fields = {
        "store": True,
        "metadata": {"a": "b"},
        "user": "me",
        "service_tier": "auto",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
    }
    plain, told = (
        completion(prompt="p", seed=1),
        completion(prompt="p", seed=1, **fields),
    )
    assert plain == told


def test_every_field_may_be_null():
    fields = ("n", "stop", "seed", "temperature", "top_p", "top_k", "stream")
    fields += ("max_tokens", "logprobs", "echo", "stream_options", "tools")
    asked = completion(prompt="p", **dict.fromkeys(fields))
    assert asked.requests[0].max_new_tokens == 16 and not asked.stream


@pytest.mark.parametrize(("given", "kept"), [(0, 0), (-1, 0), (7, 7)])
def test_top_k_is_taken_though_it_is_not_openais(given, kept):
    assert completion(prompt="p", top_k=given).requests[0].top_k == kept


def test_echo_is_taken():
    assert completion(prompt="p", echo=True).echo
    assert not completion(prompt="p").echo
