"""Over the wire, with the client's own messages."""

import threading
from concurrent import futures

import grpc
import pytest

from tests.support.spelled import spelling
from tf_tokenrl.client.protos import StreamRequest, StreamResponse

ENDLESS = 1 << 20
SECONDS = 20


@pytest.fixture(scope="module")
def stream(streaming_server):
    """Calls of `tf_tokenrl.v1.Generation/Stream`."""
    address = f"127.0.0.1:{streaming_server.port}"
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_stream(
            "/tf_tokenrl.v1.Generation/Stream",
            request_serializer=StreamRequest.SerializeToString,
            response_deserializer=StreamResponse.FromString,
        )

        def call(prompt, name="speller", **options):
            request = StreamRequest(prompt=prompt, **options)
            request.model_spec.name = name
            return method(request, timeout=SECONDS)

        yield call


def text(responses):
    return "".join(response.text for response in responses)


@pytest.mark.parametrize("prompt", ["hello", "€ 🦊 é", ""])
def test_the_pieces_are_the_answer(stream, prompt):
    data = spelling(prompt.encode())
    responses = list(stream(prompt.encode(), seed=3))
    assert text(responses) == data.decode()
    ids = [i for response in responses for i in response.token_ids]
    values = [v for response in responses for v in response.values]
    log_probs = [p for response in responses for p in response.log_probs]
    assert ids == [*data]
    assert values == [*range(len(data))]
    expected = [-3 - place / 100 for place in range(len(data))]
    assert log_probs == pytest.approx(expected)
    reasons = [response.finish_reason for response in responses]
    assert reasons == [""] * (len(responses) - 1) + ["stop"]
    assert {response.version for response in responses} == {7}
    assert responses[0].prompt_tokens == max(len(prompt.encode()), 1)


def test_options_are_obeyed(stream):
    responses = list(stream(b"ab", max_new_tokens=5, top_k=1))
    assert text(responses) == "ababa"
    assert responses[-1].finish_reason == "length"
    assert responses[0].truncated
    responses = list(stream(b"one. two.", max_new_tokens=99, stop=[". t"]))
    assert text(responses) == "one"
    assert responses[-1].finish_reason == "stop"


def test_bytes_that_are_no_text_are_answered(stream):
    assert text(stream(b"\xffa")) == "\ufffda"


@pytest.mark.parametrize(
    ("options", "code", "details"),
    [
        ({"name": ""}, "INVALID_ARGUMENT", "no name specified"),
        ({"name": "x"}, "NOT_FOUND", "Servable not found for request"),
        (
            {"name": "mute"},
            "FAILED_PRECONDITION",
            "cannot stream: it has no signature stream_advance",
        ),
        ({"prompt": b"fail"}, "INVALID_ARGUMENT", "told to fail"),
    ],
)
def test_what_goes_wrong_is_said(stream, options, code, details):
    with pytest.raises(grpc.RpcError) as caught:
        list(stream(**{"prompt": b"a", **options}))
    assert caught.value.code().name == code
    assert details in caught.value.details()


def test_a_message_that_is_none(streaming_server):
    address = f"127.0.0.1:{streaming_server.port}"
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_stream("/tf_tokenrl.v1.Generation/Stream")
        with pytest.raises(grpc.RpcError) as caught:
            list(method(b"\x0a\xff", timeout=SECONDS))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details().endswith(".StreamRequest.")


def test_a_client_that_goes_away_frees_its_slot(stream, slots_in_use):
    """The server has two slots."""
    calls = [stream(b"a", max_new_tokens=ENDLESS) for _ in range(2)]
    for call in calls:
        next(call)
    assert slots_in_use() == 2
    calls[0].cancel()
    assert text(stream(b"next")) == "next"
    calls[1].cancel()
    wait(lambda: slots_in_use() == 0)


def wait(true):
    for _ in range(SECONDS * 1000):
        if true():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came true")


def test_a_deadline_ends_an_answer(streaming_server, stream, slots_in_use):
    address = f"127.0.0.1:{streaming_server.port}"
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_stream("/tf_tokenrl.v1.Generation/Stream")
        request = StreamRequest(prompt=b"a", max_new_tokens=ENDLESS)
        request.model_spec.name = "speller"
        with pytest.raises(grpc.RpcError) as caught:
            list(method(request.SerializeToString(), timeout=0.3))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert text(stream(b"next")) == "next"


def test_a_new_version_lets_the_old_one_finish(stream, swap, slots_in_use):
    """Who began with a version goes on with it."""
    call = stream(b"abc", max_new_tokens=ENDLESS)
    responses = [next(call)]
    swap(8)
    assert {r.version for r in stream(b"new")} == {8}
    assert slots_in_use() == 1
    responses += [next(call) for _ in range(9)]
    call.cancel()
    assert {r.version for r in responses} == {7}
    told = text(responses)
    assert told == spelling(b"abc", len(told)).decode()


@pytest.mark.slow
def test_many_clients_while_versions_change(stream, swap, slots_in_use):
    """No answer fails, none is another's, and no slot is lost."""
    done = threading.Event()

    def ask_on(name):
        count = 0
        while not done.is_set() or count < 5:
            prompt = f"{name} {count} €"
            responses = list(stream(prompt.encode(), seed=count))
            assert text(responses) == prompt
            assert len({response.version for response in responses}) == 1
            count += 1
        return count

    with futures.ThreadPoolExecutor(24) as pool:
        clients = [pool.submit(ask_on, name) for name in range(24)]
        try:
            for number in range(8, 13):
                swap(number)
        finally:
            done.set()
        assert min(client.result() for client in clients) >= 5
    wait(lambda: slots_in_use() == 0)
