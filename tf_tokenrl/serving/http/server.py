"""The HTTP port: Starlette's routes on uvicorn, in a thread of its own.

What answers over HTTP is a list of Starlette routes. Here is what they have in
common: the limits that a client must keep, errors as JSON, and the end.
"""

import asyncio
import dataclasses
import logging
import math
import socket
import threading
from collections.abc import Callable, Sequence

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from uvicorn.protocols.http.h11_impl import H11Protocol

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.http.middleware import CrossOrigin, LimitedBody

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one client may take of the server.

    Attributes:
        body_bytes: the longest body of a request; a longer one answers 413.
        all_bytes: bodies of all requests at one time; one more answers 503.
        header_bytes: the longest request line with its headers; 400.
        header_seconds: until a connection, or a request begun on it, has sent
            its headers; then it is closed.
        body_seconds: until the body has arrived as well.
        idle_seconds: between two requests; a whole number.
        stall_seconds: in which a client must read some of its answer.
        connections: at one time; one more answers 503.
        cross_origin: scripts of other web sites may read the answers.
    """

    body_bytes: int = 64 * 2**20
    all_bytes: int = 2**30
    header_bytes: int = 64 * 2**10
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: int = 60
    stall_seconds: float = 60.0
    connections: int = 1000
    cross_origin: bool = False


class HttpServer:
    """Serves routes from a thread.

    Args:
        routes: the first that matches answers.
        host: the interface to listen on.
        port: 0 takes a free one.
        limits: see there.
        failed: called if it stops without being told to.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        host: str,
        port: int,
        limits: Limits = Limits(),  # noqa: B008  (it is frozen)
        failed: Callable[[], object] = lambda: None,
    ):
        self._host = host
        self.port = port
        self._uvicorn = _Uvicorn(_configuration(routes, limits))
        self._socket: socket.socket | None = None
        self._failed = failed
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, name="http", daemon=True
        )

    def bind(self) -> None:
        """Take the port; connections are refused until `start`.

        Raises:
            OSError: it cannot be taken.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((self._host, self.port))
        except OSError:
            self._socket.close()
            raise
        # Two sockets that are both allowed to share a port may both be bound
        # to it as long as neither listens: this one shares it no longer.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        self.port = self._socket.getsockname()[1]

    def start(self) -> None:
        """Answer requests.

        Raises:
            TokenRLError: it cannot.
        """
        assert self._socket is not None
        # The kernel looks at the port again, where old connections linger.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._thread.start()
        self._uvicorn.ready.wait()
        if self._failure is not None:
            raise TokenRLError(
                f"The HTTP server on {self._host}:{self.port} does not start: "
                f"{self._failure}."
            ) from self._failure

    def close(self, grace: float) -> None:
        """Take no more requests, finish those begun, give the port back.

        Args:
            grace: seconds after which unfinished requests are dropped.
        """
        if self._thread.is_alive():
            self._uvicorn.config.timeout_graceful_shutdown = math.ceil(grace)
            self._uvicorn.should_exit = True
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        assert self._socket is not None
        try:
            self._uvicorn.run(sockets=[self._socket])
        except (Exception, SystemExit) as error:  # uvicorn exits, too
            self._failure = error
            if self._uvicorn.ready.is_set():  # nobody waits for `start`
                logger.critical("The HTTP server has failed", exc_info=True)
                self._failed()
        finally:
            self._uvicorn.ready.set()


class _Uvicorn(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config):
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        self.ready.set()


class _LimitedProtocol(H11Protocol):
    """Closes connections that do not send, or do not read, in time.

    uvicorn itself waits for ever, once a connection is open.
    """

    limits = Limits()
    _awaited: type | None = None
    _deadline: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc) -> None:
        self._cancel()
        self._read_on()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_or_leave()

    def resume_writing(self) -> None:
        self._read_on()
        super().resume_writing()

    def _watch(self) -> None:
        """Give each part of a request its time, however it trickles in."""
        state = self.conn.their_state
        if state is self._awaited:
            return
        self._awaited = state
        self._cancel()
        seconds = {
            h11.IDLE: self.limits.header_seconds,
            h11.SEND_BODY: self.limits.body_seconds,
        }.get(state)
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _read_or_leave(self, unread: int | None = None) -> None:
        """Hang up on a client that has read nothing since the last look."""
        left = self.transport.get_write_buffer_size()
        if unread is not None and left >= unread:
            self.transport.abort()
            return
        self._stall = self.loop.call_later(
            self.limits.stall_seconds, self._read_or_leave, left
        )

    def _read_on(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _configuration(
    routes: Sequence[BaseRoute], limits: Limits
) -> uvicorn.Config:
    application = Starlette(
        routes=routes,
        middleware=[
            Middleware(
                LimitedBody,
                body_bytes=limits.body_bytes,
                all_bytes=limits.all_bytes,
            )
        ],
        exception_handlers={
            HTTPException: _error,
            ClientDisconnect: _nobody,
            Exception: _defect,
        },
    )
    return uvicorn.Config(
        # Around all of it, so that errors can be read from other sites too.
        CrossOrigin(application, limits.cross_origin),
        http=type("Protocol", (_LimitedProtocol,), {"limits": limits}),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=limits.idle_seconds,
        h11_max_incomplete_event_size=limits.header_bytes,
    )


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": error.detail}, error.status_code, error.headers
    )


async def _defect(request: Request, error: Exception) -> Response:
    """The client hears of it, the log hears what it is."""
    return JSONResponse({"error": "Internal error"}, 500)


async def _nobody(request: Request, error: Exception) -> Response:
    """The client has gone; nobody reads this."""
    return Response(status_code=499)
