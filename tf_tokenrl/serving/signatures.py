"""What the RPCs have in common: model specs and the names of methods."""

from google.protobuf.message import Message
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tf_tokenrl.serving.status import invalid

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


def effective_name(spec: ModelSpec) -> str:
    """The signature that a request means."""
    return spec.signature_name or DEFAULT_SIGNATURE


def set_spec(answered: ModelSpec, asked: ModelSpec, version: int) -> None:
    """Say in a response which model, signature and version answered."""
    answered.name = asked.name
    answered.signature_name = effective_name(asked)
    answered.version.value = version
