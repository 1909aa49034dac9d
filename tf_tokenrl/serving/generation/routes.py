"""Answers in pieces over HTTP: server-sent events, and OpenAI's paths."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import pydantic_core
from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tf_tokenrl.client.protos import StreamRequest
from tf_tokenrl.serving.generation import chat, completions, shapes
from tf_tokenrl.serving.generation.completions import Asked, RequestError
from tf_tokenrl.serving.generation.convention import PromptTooLong
from tf_tokenrl.serving.generation.loops import Loops
from tf_tokenrl.serving.generation.pending_request import (
    AsyncPendingRequest,
    Piece,
)
from tf_tokenrl.serving.generation.service import (
    generation_request,
    respond,
    spec_of,
)
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.versions import Version
from tf_tokenrl.serving.status import StatusError

logger = logging.getLogger(__name__)
_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_Handler = Callable[[Request], Awaitable[ASGIApp]]
_Read = Callable[[dict[str, Any], Version], tuple[Asked, shapes.Completion]]


class Generation:
    """The routes, to be asked before those of TensorFlow Serving.

    Args:
        repository: the models.
        loops: which write the answers.
        timeout_in_ms: in which an answer must be whole, and a stream begin;
            0 is never.
    """

    def __init__(
        self, repository: Repository, loops: Loops, timeout_in_ms: int
    ):
        self._repository = repository
        self._loops = loops
        self._seconds = timeout_in_ms / 1000 if timeout_in_ms > 0 else None

    def routes(self) -> list[Route]:
        """All of them; each also answers the methods that it does not take."""
        handlers = {
            "/tf_tokenrl/v1/stream": self._stream,
            "/v1/completions": _as_openai(self._complete),
            "/v1/chat/completions": _as_openai(self._converse),
        }
        return [
            Route(path, _posted(handler), methods=_METHODS)
            for path, handler in handlers.items()
        ]

    async def _stream(self, request: Request) -> ASGIApp:
        """`tf_tokenrl.v1.Generation/Stream` as server-sent events."""
        end = self._end()
        try:
            message = await _apart(_message, await request.body())
            pending = AsyncPendingRequest([generation_request(message)])
            spec = spec_of(message)
            version = pending.held.enter_context(self._repository.acquire(spec))
            self._loops.write(version, pending)
            pieces = await self._begun(request, pending, end)
        except StatusError as error:
            return JSONResponse({"error": error.truncated}, _http_code(error))

        async def events() -> AsyncIterator[dict]:
            try:
                async for piece in pieces:
                    yield json_format.MessageToDict(
                        respond(piece, version.number),
                        preserving_proto_field_name=True,
                        always_print_fields_with_no_presence=True,
                    )
            except StatusError as error:
                yield {"error": error.truncated}

        return _Events(events(), pending)

    async def _complete(self, request: Request) -> ASGIApp:
        def read(fields: dict[str, Any], version: Version):
            asked = completions.read_completion(fields)
            return asked, shapes.Completion(asked, version.number)

        return await self._answer(request, read, "prompt")

    async def _converse(self, request: Request) -> ASGIApp:
        def read(fields: dict[str, Any], version: Version):
            asked = completions.read_chat(
                fields, lambda messages: _rendered(version, messages)
            )
            return asked, shapes.ChatCompletion(asked, version.number)

        return await self._answer(request, read, "messages")

    async def _answer(
        self, request: Request, read: _Read, field: str
    ) -> ASGIApp:
        end = self._end()
        fields = await _apart(completions.parse, await request.body())
        spec = ModelSpec(name=fields["model"])
        try:
            with contextlib.ExitStack() as stack:
                version = stack.enter_context(self._repository.acquire(spec))
                asked, shape = await _apart(read, fields, version)
                pending = AsyncPendingRequest(asked.requests)
                pending.held.push(stack.pop_all())
            self._loops.write(version, pending)
            pieces = await self._begun(request, pending, end)
            if asked.stream:
                return _Events(_chunks(pieces, shape), pending)
            async with _watching(request.receive, pending), _in_time(end):
                whole = [piece async for piece in pieces]
            return JSONResponse(shape.whole(whole))
        except PromptTooLong as error:
            raise RequestError(
                error.text, field, "context_length_exceeded"
            ) from error

    async def _begun(
        self, request: Request, pending: AsyncPendingRequest, end: float | None
    ) -> AsyncIterator[Piece]:
        """The pieces, once there is one: what fails before has a status."""
        pieces = aiter(pending)
        async with _watching(request.receive, pending), _in_time(end):
            first = await anext(pieces)

        async def all_of_them() -> AsyncIterator[Piece]:
            yield first
            async for piece in pieces:
                yield piece

        return all_of_them()

    def _end(self) -> float | None:
        """When a request that has just come must be answered."""
        if self._seconds is None:
            return None
        return asyncio.get_running_loop().time() + self._seconds


@contextlib.asynccontextmanager
async def _in_time(end: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(end):
            yield
    except TimeoutError as error:
        raise StatusError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "The answer took longer than --rest_api_timeout_in_ms.",
        ) from error


def _rendered(version: Version, messages: completions.Messages) -> str:
    """Whatever a template does wrong is a matter of model and messages."""
    try:
        return chat.prompt(version.path, messages)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(
            "The model's chat template cannot take these messages: "
            f"{type(error).__name__}: {error}.",
            "messages",
        ) from error


async def _apart(function: Callable, *arguments) -> Any:
    """In a thread, for it takes time in proportion to what a client sent."""
    return await asyncio.to_thread(function, *arguments)


def _posted(handler: _Handler) -> _Handler:
    async def answer(request: Request) -> ASGIApp:
        if request.method == "POST":
            return await handler(request)
        return JSONResponse(
            RequestError(
                f"Not allowed to {request.method} on {request.url.path}: send "
                "a POST.",
                status=405,
            ).body,
            405,
            {"Allow": "POST"},
        )

    return answer


def _as_openai(handler: _Handler) -> _Handler:
    """Give every error OpenAI's shape."""

    async def answer(request: Request) -> ASGIApp:
        headers: Mapping[str, str] | None = None
        try:
            return await handler(request)
        except RequestError as error:
            refusal = error
        except StatusError as error:
            refusal = _refusal(error)
        except HTTPException as error:  # a body that is too long, for one
            refusal = RequestError(error.detail, status=error.status_code)
            headers = error.headers
        except ClientDisconnect:
            raise
        except Exception:  # a defect of ours: the log hears what it is
            logger.exception("%s has failed", request.url.path)
            refusal = RequestError("Internal error.", status=500)
        return JSONResponse(refusal.body, refusal.status, headers)

    return answer


def _message(body: bytes) -> Message:
    """A request from JSON, in which the prompt is text and not base64."""
    try:
        fields = pydantic_core.from_json(body)
        prompt = fields.pop("prompt", "")
        message = json_format.ParseDict(fields, StreamRequest())
        message.prompt = prompt.encode()
    except (
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        json_format.ParseError,
    ) as error:
        raise StatusError(
            grpc.StatusCode.INVALID_ARGUMENT, f"JSON Parse error: {error}"
        ) from error
    return message


async def _chunks(
    pieces: AsyncIterator[Piece], shape: shapes.Completion
) -> AsyncIterator[dict | str]:
    try:
        async for piece in pieces:
            for chunk in shape.chunks(piece):
                yield chunk
        for chunk in shape.end():
            yield chunk
        yield "[DONE]"
    except StatusError as error:
        yield _refusal(error).body


class _Events:
    """Sends server-sent events, and frees the slots when nobody listens.

    Args:
        events: JSON objects, or texts sent as they are.
        pending: what they come from.
    """

    def __init__(
        self, events: AsyncIterator[dict | str], pending: AsyncPendingRequest
    ):
        self._events, self._pending = events, pending

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",  # or nginx would collect the pieces
        }
        with contextlib.suppress(OSError):
            async with _watching(receive, self._pending):
                await send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": [
                            (name.encode(), value.encode())
                            for name, value in headers.items()
                        ],
                    }
                )
                async for event in self._events:
                    await send(_body(event))
                await send({"type": "http.response.body", "body": b""})


def _body(event: dict | str) -> dict[str, Any]:
    text = event if isinstance(event, str) else json.dumps(event)
    return {
        "type": "http.response.body",
        "body": f"data: {text}\n\n".encode(),
        "more_body": True,
    }


@contextlib.asynccontextmanager
async def _watching(
    receive: Receive, pending: AsyncPendingRequest
) -> AsyncIterator[None]:
    """Cancel the request when its client, or the server, goes away."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        pending.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except BaseException:
        pending.cancel()
        raise
    finally:
        watcher.cancel()


def _refusal(error: StatusError) -> RequestError:
    """An error of the server as OpenAI words it."""
    status = _http_code(error)
    if error.code is grpc.StatusCode.NOT_FOUND:
        return RequestError(error.truncated, "model", "model_not_found", status)
    code = "rate_limit_exceeded" if status == 429 else None
    return RequestError(error.truncated, None, code, status)


def _http_code(error: StatusError) -> int:
    return _CODES.get(error.code, 500)
