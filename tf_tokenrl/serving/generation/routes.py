"""Answers in pieces over HTTP: server-sent events, and OpenAI's paths."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tf_tokenrl.client.protos import StreamRequest
from tf_tokenrl.serving.generation import chat, completions, shapes
from tf_tokenrl.serving.generation.completions import Asked, RequestError
from tf_tokenrl.serving.generation.loops import Loops
from tf_tokenrl.serving.generation.pending_request import AsyncPendingRequest
from tf_tokenrl.serving.generation.service import (
    generation_request,
    respond,
    spec_of,
)
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.versions import Version
from tf_tokenrl.serving.status import StatusError

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


def routes(repository: Repository, loops: Loops) -> list[Route]:
    """The routes, to be asked before those of TensorFlow Serving."""

    def completion(fields: dict[str, Any], version: Version):
        asked = completions.read_completion(fields)
        return asked, shapes.Completion(asked, version.number)

    def chat_completion(fields: dict[str, Any], version: Version):
        asked = completions.read_chat(
            fields, lambda messages: chat.prompt(version.path, messages)
        )
        return asked, shapes.ChatCompletion(asked, version.number)

    async def complete(request: Request) -> ASGIApp:
        return await _complete(repository, loops, request, completion)

    async def converse(request: Request) -> ASGIApp:
        return await _complete(repository, loops, request, chat_completion)

    async def stream(request: Request) -> ASGIApp:
        return await _stream(repository, loops, request)

    return [
        Route("/tf_tokenrl/v1/stream", stream, methods=["POST"]),
        Route("/v1/completions", complete, methods=["POST"]),
        Route("/v1/chat/completions", converse, methods=["POST"]),
    ]


async def _stream(
    repository: Repository, loops: Loops, request: Request
) -> ASGIApp:
    """`tf_tokenrl.v1.Generation/Stream` as JSON and server-sent events."""
    try:
        message = _message(await request.body())
        with contextlib.ExitStack() as stack:
            version = stack.enter_context(repository.acquire(spec_of(message)))
            pending = AsyncPendingRequest([generation_request(message)])
            stack.enter_context(loops.writing(version, pending))
            number, kept = version.number, stack.pop_all()
    except StatusError as error:
        return JSONResponse({"error": error.truncated}, _http_code(error))

    async def events() -> AsyncIterator[dict]:
        try:
            async for piece in pending:
                yield json_format.MessageToDict(
                    respond(piece, number),
                    preserving_proto_field_name=True,
                    always_print_fields_with_no_presence=True,
                )
        except StatusError as error:
            yield {"error": error.truncated}

    return _Events(events(), pending, kept)


def _message(body: bytes) -> Message:
    """A request from JSON, in which the prompt is text and not base64."""
    try:
        fields = json.loads(body)
        prompt = fields.pop("prompt", "")
        message = json_format.ParseDict(fields, StreamRequest())
        message.prompt = prompt.encode("utf-8", "replace")
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


async def _complete(
    repository: Repository,
    loops: Loops,
    request: Request,
    read: Callable[[dict, Version], tuple[Asked, shapes.Completion]],
) -> ASGIApp:
    try:
        fields = completions.parse(await request.body())
        with contextlib.ExitStack() as stack:
            spec = ModelSpec(name=fields["model"])
            version = stack.enter_context(repository.acquire(spec))
            asked, shape = read(fields, version)
            pending = AsyncPendingRequest(asked.requests)
            stack.enter_context(loops.writing(version, pending))
            if asked.stream:
                return _Events(
                    _chunks(pending, shape), pending, stack.pop_all()
                )
            async with _watching(request.receive, pending):
                pieces = [piece async for piece in pending]
            return JSONResponse(shape.whole(pieces))
    except RequestError as error:
        return JSONResponse(error.body, error.status)
    except StatusError as error:
        return JSONResponse(_refusal(error).body, _refusal(error).status)


async def _chunks(
    pending: AsyncPendingRequest, shape: shapes.Completion
) -> AsyncIterator[dict | str]:
    try:
        async for piece in pending:
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
        held: closed with the connection.
    """

    def __init__(
        self,
        events: AsyncIterator[dict | str],
        pending: AsyncPendingRequest,
        held: contextlib.ExitStack,
    ):
        self._events, self._pending, self._held = events, pending, held

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
        }
        with self._held, contextlib.suppress(OSError):
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
    """Cancel the request when the client goes away within the block."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        pending.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
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
