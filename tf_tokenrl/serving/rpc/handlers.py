"""The gRPC services: which function answers which RPC, and how."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import grpc
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from tf_tokenrl.serving import metrics
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.request_context import Cancellation, RequestContext
from tf_tokenrl.serving.rpc.classify import classify
from tf_tokenrl.serving.rpc.model_metadata import get_model_metadata
from tf_tokenrl.serving.rpc.model_status import get_model_status
from tf_tokenrl.serving.rpc.multi_inference import multi_inference
from tf_tokenrl.serving.rpc.predict import predict
from tf_tokenrl.serving.rpc.regress import regress
from tf_tokenrl.serving.rpc.reload import handle_reload_config_request
from tf_tokenrl.serving.status import StatusError

PACKAGE = "tensorflow.serving"
_LONGEST_TIMEOUT = 2**31 - 1  # milliseconds
_RPCS: dict[str, dict[str, tuple[Callable, type[Message]]]] = {
    "PredictionService": {
        "Classify": (classify, ClassificationRequest),
        "GetModelMetadata": (get_model_metadata, GetModelMetadataRequest),
        "MultiInference": (multi_inference, MultiInferenceRequest),
        "Predict": (predict, PredictRequest),
        "Regress": (regress, RegressionRequest),
    },
    "ModelService": {
        "GetModelStatus": (get_model_status, GetModelStatusRequest),
        "HandleReloadConfigRequest": (
            handle_reload_config_request,
            ReloadConfigRequest,
        ),
    },
}
SERVICES = tuple(_RPCS)
_COUNTED = ("Classify", "Predict", "Regress")


def services(
    repository: Repository, most_calls: int
) -> list[grpc.GenericRpcHandler]:
    """The gRPC services that answer from a repository.

    Args:
        most_calls: how many requests are answered side by side; one more is
            refused.
    """
    free = threading.BoundedSemaphore(most_calls)
    return [
        grpc.method_handlers_generic_handler(
            f"{PACKAGE}.{service}",
            {
                name: _handler(
                    repository, _counted(name, answer), request, free
                )
                for name, (answer, request) in methods.items()
            },
        )
        for service, methods in _RPCS.items()
    ]


def _counted(api: str, answer: Callable) -> Callable:
    """The real server counts three of its RPCs."""
    if api not in _COUNTED:
        return answer

    def counted(repository: Repository, request, context: RequestContext):
        name = request.model_spec.name
        known = name if repository.versions(name) else ""
        with metrics.request(known, api, "GRPC"):
            return answer(repository, request, context)

    return counted


def _handler(
    repository: Repository,
    answer: Callable,
    request: type[Message],
    free: threading.BoundedSemaphore,
) -> grpc.RpcMethodHandler:
    def behaviour(data: bytes, context: grpc.ServicerContext):
        try:
            with _one_of(free):
                message = _parsed(request, data)
                return answer(repository, message, _request_context(context))
        except StatusError as error:
            context.abort(error.code, error.truncated)

    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        response_serializer=lambda response: response.SerializeToString(),
    )


@contextlib.contextmanager
def _one_of(free: threading.BoundedSemaphore) -> Iterator[None]:
    if not free.acquire(blocking=False):
        raise StatusError(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted"
        )
    try:
        yield
    finally:
        free.release()


def _parsed(request: type[Message], data: bytes) -> Message:
    """Note: the real server sends the same code without any text."""
    try:
        return request.FromString(data)
    except DecodeError as error:
        raise StatusError(
            grpc.StatusCode.INTERNAL,
            f"The message is no {request.DESCRIPTOR.full_name}.",
        ) from error


def _request_context(context: grpc.ServicerContext) -> RequestContext:
    cancellation = Cancellation()
    if not context.add_callback(cancellation.cancel):
        cancellation.cancel()
    remaining = context.time_remaining()
    if remaining is None or remaining * 1000 > _LONGEST_TIMEOUT:
        return RequestContext(cancellation=cancellation)
    return RequestContext(max(int(remaining * 1000), 1), cancellation)
