"""What a server, or the way to it, answered instead of a result."""

import os

import grpc

from tf_tokenrl.client.servers import is_loopback
from tf_tokenrl.errors import TokenRLError


class ServingError(TokenRLError):
    """The call failed.

    Attributes:
        code: the gRPC status code.
        text: what the server said, word for word.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(self, message: str, text: str | None = None):
        super().__init__(message)
        self.text = message if text is None else text


class InvalidArgument(ServingError):
    """The request itself is wrong: names, types or values of its inputs."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(ServingError):
    """The server has no such model or version."""

    code = grpc.StatusCode.NOT_FOUND


class FailedPrecondition(ServingError):
    """The model cannot answer this, for instance: no such signature."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Unavailable(ServingError):
    """No server answers at the address."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(ServingError):
    """The answer took longer than the timeout."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class ResourceExhausted(ServingError):
    """A message is larger than allowed, or the server is full."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unimplemented(ServingError):
    """What answers at the address does not know this call."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(ServingError):
    """The model failed while it ran."""

    code = grpc.StatusCode.INTERNAL


class Cancelled(ServingError):
    """The call was given up, by this side or by the server."""

    code = grpc.StatusCode.CANCELLED


class Unknown(ServingError):
    """The server does not say what kind of failure it was."""

    code = grpc.StatusCode.UNKNOWN


class AlreadyExists(ServingError):
    """What was to be made is there."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(ServingError):
    """The caller is known, and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(ServingError):
    """The caller is not known."""

    code = grpc.StatusCode.UNAUTHENTICATED


class Aborted(ServingError):
    """Something else got in the way."""

    code = grpc.StatusCode.ABORTED


class OutOfRange(ServingError):
    """An op of the model went past an end."""

    code = grpc.StatusCode.OUT_OF_RANGE


class DataLoss(ServingError):
    """A file of the model is damaged."""

    code = grpc.StatusCode.DATA_LOSS


_KINDS = {kind.code: kind for kind in ServingError.__subclasses__()}
_ADVICE = {
    grpc.StatusCode.UNAVAILABLE: (
        "Is a server running there? Start one with "
        '"tf-tokenrl serve --model_name={model} --model_base_path=DIRECTORY".'
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "Give the client a longer timeout, or ask for fewer tokens."
    ),
    grpc.StatusCode.NOT_FOUND: (
        "Check the name and the version against those that are served."
    ),
}


def _proxy() -> str:
    """What gRPC does not say: that it goes through a proxy."""
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        if os.environ.get(name):
            return (
                f" gRPC goes through the proxy of the environment, {name}="
                f"{os.environ[name]}; name the host in no_proxy if it should "
                "not."
            )
    return ""


def from_rpc(error: grpc.RpcError, address: str, model: str) -> ServingError:
    """The typed error of a call to `model` at `address`."""
    code, text = error.code(), error.details() or ""
    kind = _KINDS.get(code, ServingError)
    advice = _ADVICE.get(code, "").format(model=model)
    if code is grpc.StatusCode.UNAVAILABLE and not is_loopback(address):
        advice += _proxy()
    message = f'Model "{model}" at {address}: {code.name}: {text}'
    failure = kind(f"{message.rstrip('.')}. {advice}".rstrip(), text)
    failure.code = code
    return failure
