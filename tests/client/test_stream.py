"""Answers that come piece by piece, from a server that follows a script."""

import threading
from concurrent import futures

import grpc
import pytest

from tf_tokenrl import client as api
from tf_tokenrl.client import Piece, protos

FIRST = Piece("ab", (1, 2), (-0.5, -0.25), (1.0, 2.0), "", 3, True, 7)
LAST = Piece("c", (3,), (0.0,), (0.5,), "stop", 3, True, 7)


class Scripted:
    """Each call follows the next script: pieces and status codes."""

    def __init__(self, *scripts):
        self.requests, self.ended = [], threading.Event()
        self._scripts = list(scripts)
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        handler = grpc.unary_stream_rpc_method_handler(
            self._answer,
            protos.StreamRequest.FromString,
            lambda response: response.SerializeToString(),
        )
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    "tf_tokenrl.v1.Generation", {"Stream": handler}
                )
            ]
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *exception):
        self._server.stop(None).wait()

    def _answer(self, request, context):
        self.requests.append(request)
        context.add_callback(self.ended.set)
        for line in self._scripts.pop(0):
            if isinstance(line, grpc.StatusCode):
                context.abort(line, "enough")
            if line is None:
                self.ended.wait()
                return
            yield protos.StreamResponse(**line._asdict())


def test_pieces_as_they_come(kind):
    with Scripted([FIRST, LAST]) as server, kind(server.address) as client:
        assert list(client.stream("é")) == [FIRST, LAST]
    (request,) = server.requests
    assert request.prompt == "é".encode()
    assert request.model_spec.name == "headline"
    assert (request.temperature, request.top_p) == (0.0, 1.0)


@pytest.mark.parametrize("stop", ["\n", ["\n", "end"]])
def test_every_option_reaches_the_server(kind, stop):
    options = dict(seed=5, temperature=0.5, top_k=3, top_p=0.25)
    with (
        Scripted([LAST]) as server,
        kind(server.address, "m", version=4) as client,
    ):
        list(client.stream("a", stop=stop, max_new_tokens=9, **options))
    (request,) = server.requests
    assert {name: getattr(request, name) for name in options} == options
    assert request.max_new_tokens == 9
    assert list(request.stop) == list(stop)
    assert request.model_spec.version.value == 4


def test_to_stop_listening_ends_the_answer(kind):
    with Scripted([FIRST, None]) as server, kind(server.address) as client:
        pieces = client.stream("a")
        assert next(pieces) == FIRST
        pieces.close()
        assert server.ended.wait(10)


def test_a_server_that_is_busy_is_asked_again(kind):
    busy = [grpc.StatusCode.UNAVAILABLE]
    with (
        Scripted(busy, busy, [LAST]) as server,
        kind(server.address) as client,
    ):
        assert list(client.stream("a")) == [LAST]
    assert len(server.requests) == 3


def test_an_answer_that_breaks_off_is_not_begun_again(kind):
    script = [FIRST, grpc.StatusCode.UNAVAILABLE]
    with Scripted(script, [LAST]) as server, kind(server.address) as client:
        pieces = client.stream("a")
        assert next(pieces) == FIRST
        with pytest.raises(api.Unavailable, match="enough"):
            next(pieces)
    assert len(server.requests) == 1


def test_the_timeout_ends_an_answer(kind):
    with Scripted([FIRST, None]) as server, kind(server.address) as client:
        pieces = client.stream("a", timeout=0.3)
        assert next(pieces) == FIRST
        with pytest.raises(api.DeadlineExceeded):
            next(pieces)
        assert server.ended.wait(10)


def test_a_server_without_streaming(client):
    with pytest.raises(api.Unimplemented):
        next(client.stream("a"))
