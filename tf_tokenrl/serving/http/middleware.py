"""Middleware of the HTTP port: what holds for every route, whoever answers."""

import asyncio
import zlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ANY_FORMAT = zlib.MAX_WBITS | 32  # gzip or zlib, told by the header


class CrossOrigin:
    """Answers preflight requests, and lets scripts of other sites read.

    A preflight under `/v1/` is answered with 200 in any case, as the stock
    server does; without `allowed` the browser refuses all the same, for the
    headers that permit it are missing.

    Args:
        app: what answers everything else.
        allowed: `--rest_api_enable_cors_support`.
    """

    def __init__(self, app: ASGIApp, allowed: bool):
        self._app = app
        self._allowed = allowed

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)

        async def permit(message: Message) -> None:
            if self._allowed and message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["Access-Control-Allow-Origin"] = "*"
                headers["Access-Control-Allow-Methods"] = "POST, GET"
                headers["Access-Control-Allow-Headers"] = asked.get(
                    "access-control-request-headers", "Content-Type"
                )
            await send(message)

        answer = self._app
        if scope["method"] == "OPTIONS" and self._is_preflight(scope, asked):
            answer = Response()
        await answer(scope, receive, permit)

    def _is_preflight(self, scope: Scope, asked: Headers) -> bool:
        from_a_page = asked.get("origin", "").startswith(
            ("http://", "https://")
        )
        under_v1 = scope["path"].lower().startswith("/v1/")
        return from_a_page and (under_v1 or self._allowed)


class LimitedBody:
    """Unpacks bodies, and refuses those that are too long, or too many.

    Args:
        app: what reads them.
        body_bytes: the longest body, packed and unpacked.
        all_bytes: bodies of all requests at one time.
    """

    def __init__(self, app: ASGIApp, body_bytes: int, all_bytes: int):
        self._app = app
        self._body_bytes = body_bytes
        self._all_bytes = all_bytes
        self._held = 0  # bytes, of all requests

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        size = 0
        unpacker = None
        if "gzip" in Headers(scope=scope).get("content-encoding", "").lower():
            unpacker = _Unpacker()

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            if unpacker is not None and message["type"] == "http.request":
                # One byte more than allowed is enough to see that it is more.
                most = self._body_bytes - size + 1
                message = await asyncio.to_thread(
                    unpacker.unpacked, message, most
                )
            more = len(message.get("body", b""))
            size += more
            self._held += more
            self._check(size)
            return message

        try:
            await self._app(scope, limited, send)
        finally:
            self._held -= size

    def _check(self, size: int) -> None:
        close = {"Connection": "close"}
        if size > self._body_bytes:
            text = f"The body is longer than {self._body_bytes} bytes"
            raise HTTPException(413, text, close)
        if self._held > self._all_bytes:
            raise HTTPException(503, "Too many bytes are on their way", close)


class _Unpacker:
    """Unpacks the parts of a gzipped body."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_ANY_FORMAT)
        self._begun = False

    def unpacked(self, message: Message, most: int) -> Message:
        """The part of a body in a message, `most` bytes of it at most.

        Raises:
            HTTPException: 400, it is not gzip, or ends too early.
        """
        packed = message.get("body", b"")
        self._begun = self._begun or bool(packed)
        try:
            body = self._stream.decompress(packed, most)
        except zlib.error as error:
            raise _unreadable(f"is not gzip: {error}") from error
        over = len(body) == most  # too long anyway, and refused for that
        if self._begun and not (
            message.get("more_body", False) or self._stream.eof or over
        ):
            raise _unreadable("ends before its gzip does")
        return {**message, "body": body}


def _unreadable(reason: str) -> HTTPException:
    return HTTPException(400, f"The body {reason}", {"Connection": "close"})
