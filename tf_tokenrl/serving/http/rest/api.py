"""TensorFlow Serving's REST API, as an ASGI application.

Paths are compared without regard to letter case, but methods ("predict") and
resources ("metadata") count only in lower case, as in the real server.
"""

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any
from urllib.parse import unquote_to_bytes

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from tf_tokenrl.serving import metrics
from tf_tokenrl.serving.http.rest import answers
from tf_tokenrl.serving.http.rest.inputs import fill_inputs, fill_signature
from tf_tokenrl.serving.http.rest.json_text import parse
from tf_tokenrl.serving.http.rest.tf_examples import fill_examples
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.request_context import Cancellation, RequestContext
from tf_tokenrl.serving.rpc.classify import classify
from tf_tokenrl.serving.rpc.dispatch import effective_name
from tf_tokenrl.serving.rpc.model_metadata import get_model_metadata
from tf_tokenrl.serving.rpc.model_status import get_model_status
from tf_tokenrl.serving.rpc.predict import predict
from tf_tokenrl.serving.rpc.regress import regress
from tf_tokenrl.serving.status import StatusError, invalid

_WHICH = r"(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
_METHOD = re.compile(
    rf"/v1/models/([^/:]+){_WHICH}:(classify|regress|predict)",
    re.IGNORECASE | re.ASCII,
)
_RESOURCE = re.compile(
    rf"/v1/models(?:/([^/:]+))?{_WHICH}(?:/(metadata))?",
    re.IGNORECASE | re.ASCII,
)
_CODES = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}


@dataclasses.dataclass(frozen=True)
class _Target:
    """What a path names.

    Attributes:
        spec: the model, and a version or a label.
        word: "predict", "metadata" and the like; "" is the model itself.
    """

    spec: ModelSpec
    word: str


class Rest:
    """Answers whatever no other route has taken.

    Args:
        repository: the models.
        threads: requests answered side by side; more wait.
        timeout_in_ms: after which a request answers 504, waiting included;
            0 is never.
        as_openai: list the models, and describe each, also in the way of
            OpenAI's `GET /v1/models`; the stock server cannot list them.
    """

    def __init__(
        self,
        repository: Repository,
        threads: int,
        timeout_in_ms: int,
        as_openai: bool = False,
    ):
        self._repository = repository
        self._timeout_in_ms = max(timeout_in_ms, 0)
        self._as_openai = as_openai
        self._created = int(time.time())
        self._threads = futures.ThreadPoolExecutor(
            threads, thread_name_prefix="rest"
        )

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        request = Request(scope, receive)
        path = scope["raw_path"].decode("latin-1")
        body = await request.body()
        cancellation = Cancellation()
        work = asyncio.get_running_loop().run_in_executor(
            self._threads,
            self._timed,
            request.method,
            path,
            body,
            RequestContext(self._timeout_in_ms, cancellation),
            time.monotonic(),
        )
        code, text = await _unless_gone(work, receive, cancellation)
        response = Response(
            text.encode(errors="surrogateescape"),
            code,
            media_type="application/json",
        )
        await response(scope, receive, send)

    def answer(
        self, method: str, path: str, body: bytes, context: RequestContext
    ) -> tuple[int, str]:
        """The code and the text for a request.

        Args:
            method: "GET", "POST" or another.
            path: still quoted, without the query.
        """
        if not path.lower().startswith("/v1/"):
            return 404, ""
        try:
            target = _target(method, path)
        except StatusError as error:
            return _CODES[error.code], ""  # the real server says nothing here
        try:
            return 200, self._answer(method, path, target, body, context)
        except StatusError as error:
            text = json.dumps(error.truncated, ensure_ascii=False)
            return _CODES.get(error.code, 500), f'{{ "error": {text} }}'

    def _timed(
        self,
        method: str,
        path: str,
        body: bytes,
        context: RequestContext,
        arrived: float,
    ) -> tuple[int, str]:
        """Answer in the time that is left."""
        if context.timeout_in_ms > 0:
            waited = int((time.monotonic() - arrived) * 1000)
            left = max(context.timeout_in_ms - waited, 1)
            context = dataclasses.replace(context, timeout_in_ms=left)
        return self.answer(method, path, body, context)

    def _answer(
        self,
        method: str,
        path: str,
        target: _Target | None,
        body: bytes,
        context: RequestContext,
    ) -> str:
        word = "" if target is None else target.word
        methods: dict[str, Callable] = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
        }
        if method == "GET" and target is not None:
            if not target.spec.name and self._as_openai and not word:
                return self._list()
            if not target.spec.name:
                raise invalid("Missing model name in request.")
            if word == "metadata":
                return self._metadata(target.spec)
            return self._status(target.spec)
        if method != "POST" or target is None or word not in methods:
            raise invalid(f"Malformed request: {method} {path}")
        name = target.spec.name
        known = name if self._repository.versions(name) else ""
        with metrics.request(known, word, "REST"):
            return methods[word](target.spec, body, context)

    def _predict(
        self, spec: ModelSpec, body: bytes, context: RequestContext
    ) -> str:
        document = parse(body)
        request = PredictRequest(model_spec=spec)
        fill_signature(document, request.model_spec)
        with self._repository.acquire(spec) as version:
            signatures = version.loaded.signatures
        name = effective_name(request.model_spec)
        if name not in signatures:
            raise invalid(
                f'Serving signature name: "{name}" not found in signature def'
            )
        if not signatures[name].inputs:
            raise invalid(
                "Failed to get input map for signature: "
                f"{request.model_spec.signature_name or 'DEFAULT'}"
            )
        signature = signatures[name]
        columns = fill_inputs(
            document, signature.inputs, request.inputs, signature.defaults
        )
        response = predict(self._repository, request, context)
        return answers.predictions(response.outputs, columns)

    def _classify(
        self, spec: ModelSpec, body: bytes, context: RequestContext
    ) -> str:
        document = parse(body)
        request = ClassificationRequest(model_spec=spec)
        fill_signature(document, request.model_spec)
        fill_examples(document, request.input)
        response = classify(self._repository, request, context)
        return answers.classifications(response.result)

    def _regress(
        self, spec: ModelSpec, body: bytes, context: RequestContext
    ) -> str:
        document = parse(body)
        request = RegressionRequest(model_spec=spec)
        fill_signature(document, request.model_spec)
        fill_examples(document, request.input)
        response = regress(self._repository, request, context)
        return answers.regressions(response.result)

    def _status(self, spec: ModelSpec) -> str:
        request = GetModelStatusRequest(model_spec=spec)
        status = _json(get_model_status(self._repository, request))
        if not self._as_openai:
            return status
        described = self._described(spec.name) | json.loads(status)
        return json.dumps(described, indent=1, ensure_ascii=False)

    def _list(self) -> str:
        models = [self._described(name) for name in self._repository.names]
        return json.dumps({"object": "list", "data": models}, indent=1)

    def _described(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "tf_tokenrl",
        }

    def _metadata(self, spec: ModelSpec) -> str:
        request = GetModelMetadataRequest(
            model_spec=spec, metadata_field=["signature_def"]
        )
        response = get_model_metadata(self._repository, request)
        signatures = SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return (
            f'{{\n"model_spec":{_json(response.model_spec)},\n'
            f'"metadata": {{"signature_def": {_json(signatures)}}}\n}}\n'
        )


async def _unless_gone(
    work: asyncio.Future, receive: Receive, cancellation: Cancellation
):
    """The outcome of `work`, which is ended early if the client goes away."""
    gone = asyncio.ensure_future(receive())  # after the body, that it has gone
    await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    if gone.done():
        await asyncio.to_thread(cancellation.cancel)
    gone.cancel()
    return await work


def _target(method: str, path: str) -> _Target | None:
    """What a path names; None if it is of no known form.

    Raises:
        StatusError: the version is no number of 64 bits.
    """
    patterns = {"POST": [_METHOD], "GET": [_RESOURCE]}
    for pattern in patterns.get(method, [_METHOD, _RESOURCE]):
        match = pattern.fullmatch(path)
        if match:
            name, version, label, word = match.groups(default="")
            spec = ModelSpec(name=_unquoted(name))
            if version:
                if int(version[:20]) >= 2**63 or len(version.lstrip("0")) > 19:
                    raise invalid(
                        f"Failed to convert version: {version} to numeric."
                    )
                spec.version.value = int(version)
            if label:
                spec.version_label = _unquoted(label)
            return _Target(spec, word)
    return None


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text.encode("latin-1")).decode(errors="replace")


def _json(message: Message) -> str:
    return MessageToJson(
        message,
        indent=1,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
