import asyncio
import contextlib
import gzip
import http.client
import socket
import threading

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.http.server import HttpServer, Limits
from tf_tokenrl.serving.rpc.listener import cannot_listen

SECONDS = 20


async def length(request):
    return PlainTextResponse(str(len(await request.body())))


async def numbers(request):
    async def pieces():
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(pieces(), media_type="text/event-stream")


async def much(request):
    return PlainTextResponse("a" * 30_000_000)


ROUTES = [
    Route("/length", length, methods=["POST"]),
    Route("/three", numbers),
    Route("/much", much),
]


@pytest.fixture(scope="module")
def server():
    limits = Limits(
        body_bytes=1000,
        all_bytes=2500,
        header_bytes=4096,
        header_seconds=0.5,
        body_seconds=0.5,
        idle_seconds=1,
        stall_seconds=0.5,
        connections=5,
    )
    running = HttpServer(ROUTES, "127.0.0.1", 0, limits)
    running.bind()
    running.start()
    yield running
    running.close(grace=1)


def ask(server, method, path, body=b""):
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=SECONDS
    )
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def opened(server):
    return socket.create_connection(("127.0.0.1", server.port), SECONDS)


def everything(connection):
    """What comes until the other side closes."""
    data = b""
    try:
        while piece := connection.recv(4096):
            data += piece
    except ConnectionResetError:
        pass
    return data


def works(server):
    return ask(server, "POST", "/length", b"abc") == (200, b"3")


def test_routes(server):
    assert works(server)
    assert ask(server, "GET", "/three") == (200, b"0\n1\n2\n")
    assert ask(server, "GET", "/four") == (404, b'{"error":"Not Found"}')
    code, text = ask(server, "GET", "/length")
    assert (code, text) == (405, b'{"error":"Method Not Allowed"}')


def test_a_body_may_have_the_limit_and_no_more(server):
    assert ask(server, "POST", "/length", b"a" * 1000) == (200, b"1000")
    code, text = ask(server, "POST", "/length", b"a" * 1001)
    assert code == 413
    assert text == b'{"error":"The body is longer than 1000 bytes"}'
    assert works(server)


def test_a_chunked_body_is_counted_too(server):
    with opened(server) as connection:
        connection.sendall(
            b"POST /length HTTP/1.1\r\nHost: a\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(3):
            connection.sendall(b"190\r\n" + b"a" * 400 + b"\r\n")
        assert everything(connection).startswith(b"HTTP/1.1 413")
    assert works(server)


def test_all_bodies_together_are_counted_while_they_are_there(server):
    head = b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        begun = [stack.enter_context(opened(server)) for _ in range(3)]
        for connection in begun:
            connection.sendall(head + b"a" * 900)
        answers = [everything(connection) for connection in begun]
    refused = [answer for answer in answers if answer]
    assert len(refused) == 1
    assert refused[0].startswith(b"HTTP/1.1 503")
    assert refused[0].endswith(b'{"error":"Too many bytes are on their way"}')
    for _ in range(3):
        assert ask(server, "POST", "/length", b"a" * 1000) == (200, b"1000")


@pytest.mark.parametrize(
    "sent",
    [
        b"",  # nothing at all
        b"POST /length HTTP/1.1\r\nHost: a\r\n",  # headers without an end
        b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
    ],
)
def test_who_does_not_finish_is_hung_up_on(server, sent):
    with opened(server) as connection:
        connection.sendall(sent)
        assert not everything(connection)
    assert works(server)


def test_bytes_that_trickle_in_gain_no_time(server):
    with opened(server) as connection:
        connection.settimeout(0.05)
        trickle = iter(b"POST /length HTTP/1.1\r\nX: " + b"a" * 1000)
        for byte in trickle:
            try:
                connection.sendall(bytes([byte]))
                assert not connection.recv(1)
                break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
        assert next(trickle, None) is not None
    assert works(server)


def test_who_does_not_read_is_hung_up_on(server):
    with opened(server) as connection:
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n")
        while not server._uvicorn.server_state.connections:
            threading.Event().wait(0.001)
        while server._uvicorn.server_state.connections:
            threading.Event().wait(0.001)
        assert len(everything(connection)) < 30_000_000
    code, text = ask(server, "GET", "/much")
    assert (code, len(text)) == (200, 30_000_000)


def test_a_connection_serves_several_requests_and_then_closes(server):
    request = b"GET /three HTTP/1.1\r\nHost: a\r\n\r\n"
    with opened(server) as connection:
        for _ in range(2):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                answer += connection.recv(4096)
        assert not everything(connection)


@pytest.mark.parametrize(
    "sent", [b"\x00\xff\x16\x03garbage\r\n\r\n", b"GET\r\n\r\n"]
)
def test_garbage_answers_400(server, sent):
    with opened(server) as connection:
        connection.sendall(sent)
        assert everything(connection).startswith(b"HTTP/1.1 400")
    assert works(server)


def test_headers_have_a_limit(server):
    with opened(server) as connection:
        connection.sendall(b"GET /three HTTP/1.1\r\nX: " + b"a" * 70_000)
        assert everything(connection).startswith(b"HTTP/1.1 400")
    assert works(server)


def test_so_have_connections(server):
    others = [opened(server) for _ in range(5)]
    try:
        assert ask(server, "GET", "/three")[0] == 503
    finally:
        for other in others:
            everything(other)
            other.close()
    assert works(server)


def test_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="already in use") as caught:
            HttpServer([], "127.0.0.1", port).bind()
    told = cannot_listen("127.0.0.1", port, "rest_api_port", caught.value)
    assert str(told) == (
        f"Cannot listen on 127.0.0.1:{port}: Address already in use. Stop "
        "what holds the port, or choose another with --rest_api_port (-1 "
        "picks a free one)."
    )


def test_a_bound_port_refuses_until_the_start():
    server = HttpServer(ROUTES, "127.0.0.1", 0)
    server.bind()
    with pytest.raises(ConnectionRefusedError):
        opened(server)
    server.start()
    assert works(server)
    server.close(grace=1)
    with pytest.raises(ConnectionRefusedError):
        opened(server)


def test_closing_finishes_the_requests_begun():
    begun, go_on = threading.Event(), threading.Event()

    async def slow(request):
        begun.set()
        await asyncio.to_thread(go_on.wait, SECONDS)
        return PlainTextResponse("done")

    server = HttpServer([Route("/slow", slow)], "127.0.0.1", 0)
    server.bind()
    server.start()
    answers = []
    client = threading.Thread(
        target=lambda: answers.append(ask(server, "GET", "/slow"))
    )
    client.start()
    assert begun.wait(SECONDS)
    closing = threading.Thread(target=server.close, args=[SECONDS])
    closing.start()
    while not server._uvicorn.should_exit:
        threading.Event().wait(0.001)
    go_on.set()
    closing.join(SECONDS)
    client.join(SECONDS)
    assert answers == [(200, b"done")]


def packed_ask(server, body, encoding="gzip"):
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=SECONDS
    )
    headers = {"Content-Encoding": encoding}
    connection.request("POST", "/length", body, headers)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_a_gzipped_body_is_unpacked(server):
    assert packed_ask(server, gzip.compress(b"a" * 1000)) == (200, b"1000")
    assert packed_ask(server, b"", "gzip") == (200, b"0")


def test_a_gzip_bomb_is_as_long_as_what_is_in_it(server):
    code, text = packed_ask(server, gzip.compress(b"a" * 100_000_000))
    assert code == 413 and b"longer than 1000 bytes" in text
    assert works(server)


def test_gzip_that_is_broken_or_cut_is_refused(server):
    whole = gzip.compress(b"abc" * 99)
    assert packed_ask(server, b"abc")[0] == 400
    code, text = packed_ask(server, whole[:-12])
    assert (code, text) == (
        400,
        b'{"error":"The body ends before its gzip does"}',
    )


def test_a_port_that_is_bound_is_held_before_anybody_listens():
    first = HttpServer(ROUTES, "127.0.0.1", 0)
    first.bind()
    second = HttpServer(ROUTES, "127.0.0.1", first.port)
    with pytest.raises(OSError, match="already in use"):
        second.bind()
    first.start()
    assert works(first)
    first.close(1)


def test_a_server_that_cannot_listen_says_so():
    server = HttpServer(ROUTES, "127.0.0.1", 0)
    server.bind()

    async def refused(sockets=None):
        raise OSError(98, "Address already in use")

    server._uvicorn.startup = refused
    with pytest.raises(TokenRLError, match="does not start: .* in use"):
        server.start()
    server.close(0)


def test_a_server_that_fails_later_is_not_silent(caplog):
    failed = threading.Event()
    server = HttpServer(ROUTES, "127.0.0.1", 0, failed=failed.set)
    server.bind()
    server.start()

    def broken():
        raise ValueError("broken")

    server._uvicorn.on_tick = lambda counter: broken()
    assert failed.wait(SECONDS)
    assert "The HTTP server has failed" in caplog.text
    server.close(0)


def preflight(server, path, **headers):
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=SECONDS
    )
    connection.request("OPTIONS", path, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


PAGE = {"Origin": "https://example.org"}


@pytest.mark.parametrize("path", ["/length", "/v1/chat/completions", "/none"])
def test_a_preflight_is_answered_wherever_it_goes(path):
    limits = Limits(cross_origin=True)
    open_to_all = HttpServer(ROUTES, "127.0.0.1", 0, limits)
    open_to_all.bind()
    open_to_all.start()
    wanted = "authorization, content-type"
    response = preflight(
        open_to_all,
        path,
        **PAGE,
        **{"Access-Control-Request-Headers": wanted},
    )
    assert response.status == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-headers"] == wanted
    for method, page in (("POST", "/length"), ("GET", "/none")):
        code, _ = ask(open_to_all, method, page)
        assert code in (200, 404)
    open_to_all.close(1)


def test_without_the_flag_a_preflight_permits_nothing(server):
    """Under /v1/ it is answered all the same, as by the stock server."""
    response = preflight(server, "/v1/models/half:predict", **PAGE)
    assert response.status == 200
    assert "access-control-allow-origin" not in response.headers
    assert preflight(server, "/V1/x", Origin="null").status == 404
    assert preflight(server, "/length", **PAGE).status == 405
