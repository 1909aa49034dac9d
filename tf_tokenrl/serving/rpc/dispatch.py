"""What the RPCs have in common: model specs and the names of methods."""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import RequestContext
from tf_tokenrl.serving.status import invalid

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

_PREFIX = "tensorflow/serving/"
CLASSIFY = f"{_PREFIX}classify"
REGRESS = f"{_PREFIX}regress"
METHODS = (f"{_PREFIX}predict", CLASSIFY, REGRESS)
DEFAULT_SIGNATURE = "serving_default"


def require_spec(request: Message) -> None:
    """Refuse a request that names no model at all.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def answer(
    repository: Repository,
    request: Request,
    context: RequestContext,
    run: Callable[[Servable, Request, Flags, RequestContext], Response],
) -> Response:
    """Run a request on the version that it names, and say which that was.

    Raises:
        StatusError: there is no such version, or `run` fails.
    """
    require_spec(request)
    asked = request.model_spec
    with repository.acquire(asked) as version:
        response = run(version.loaded, request, repository.flags, context)
        set_spec(response.model_spec, asked, version.number)
    return response


def effective_name(spec: ModelSpec) -> str:
    """The signature that a request means."""
    return spec.signature_name or DEFAULT_SIGNATURE


def set_spec(answered: ModelSpec, asked: ModelSpec, version: int) -> None:
    """Say in a response which model, signature and version answered."""
    answered.name = asked.name
    answered.signature_name = effective_name(asked)
    answered.version.value = version
