"""The RPCs: PredictionService and ModelService.

RPCs that are not here answer UNIMPLEMENTED.
"""

from collections.abc import Callable

import grpc
import numpy as np
from google.protobuf.message import Message
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from tf_tokenrl.serving import wire
from tf_tokenrl.serving.repository import Repository
from tf_tokenrl.serving.servable import Servable
from tf_tokenrl.serving.status import StatusError, invalid
from tf_tokenrl.serving.versions import Version

_LONGEST_TIMEOUT = 2**31 - 1  # milliseconds


def services(repository: Repository) -> list[grpc.GenericRpcHandler]:
    """The gRPC services that answer from a repository."""
    answers = {
        "PredictionService": {
            "Predict": (predict, PredictRequest),
            "GetModelMetadata": (get_model_metadata, GetModelMetadataRequest),
        },
        "ModelService": {
            "GetModelStatus": (get_model_status, GetModelStatusRequest),
        },
    }
    return [
        grpc.method_handlers_generic_handler(
            f"tensorflow.serving.{service}",
            {
                name: _handler(repository, answer, request)
                for name, (answer, request) in methods.items()
            },
        )
        for service, methods in answers.items()
    ]


def predict(
    repository: Repository, request: PredictRequest, timeout_in_ms: int = 0
) -> PredictResponse:
    """Run a signature."""
    _require_spec(request)
    with repository.acquire(request.model_spec) as version:
        return _run(version, request, timeout_in_ms)


def get_model_metadata(
    repository: Repository,
    request: GetModelMetadataRequest,
    timeout_in_ms: int = 0,
) -> GetModelMetadataResponse:
    """The signatures of a version."""
    _require_spec(request)
    if not request.metadata_field:
        raise invalid(
            "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for field in request.metadata_field:
        if field != "signature_def":
            raise invalid(f"Metadata field {field} is not supported")
    response = GetModelMetadataResponse()
    with repository.acquire(request.model_spec) as version:
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version.number
        response.metadata["signature_def"].Pack(
            SignatureDefMap(signature_def=_servable(version).signatures)
        )
    return response


def get_model_status(
    repository: Repository,
    request: GetModelStatusRequest,
    timeout_in_ms: int = 0,
) -> GetModelStatusResponse:
    """The states of a model's versions, the highest first.

    Note: while a failed load waits for its next try, the text of the failure
    is shown beside LOADING; the real server shows it only at the end.
    """
    _require_spec(request)
    spec = request.model_spec
    versions = repository.versions(spec.name)
    if not versions:
        raise StatusError(
            grpc.StatusCode.NOT_FOUND,
            f"Could not find any versions of model {spec.name}",
        )
    if spec.HasField("version"):
        number = spec.version.value
        versions = [v for v in versions if v.number == number]
        if not versions:
            raise StatusError(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find version {number} of model {spec.name}",
            )
    response = GetModelStatusResponse()
    for version in versions:
        shown = response.model_version_status.add(
            version=version.number, state=int(version.state)
        )
        if version.error:
            shown.status.error_code = version.error.code.value[0]
            shown.status.error_message = version.error.text
        else:
            shown.status.SetInParent()
    return response


def _handler(
    repository: Repository, answer: Callable, request: type[Message]
) -> grpc.RpcMethodHandler:
    def behaviour(message, context: grpc.ServicerContext):
        try:
            return answer(repository, message, _timeout_in_ms(context))
        except StatusError as error:
            context.abort(error.code, error.truncated)

    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=request.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )


def _timeout_in_ms(context: grpc.ServicerContext) -> int:
    remaining = context.time_remaining()
    if remaining is None or remaining * 1000 > _LONGEST_TIMEOUT:
        return 0
    return max(int(remaining * 1000), 1)


def _require_spec(request: Message) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _servable(version: Version) -> Servable:
    """What an acquired version runs; it stays loaded while it is in use."""
    assert version.servable is not None
    return version.servable


def _run(
    version: Version, request: PredictRequest, timeout_in_ms: int
) -> PredictResponse:
    name = request.model_spec.signature_name or "serving_default"
    signature = _servable(version).signatures.get(name)
    if signature is None:
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f'Serving signature key "{name}" not found.',
        )
    feeds = _feeds(signature, request)
    fetches = _fetches(signature, request)
    arrays = _servable(version).run(
        feeds, list(fetches.values()), timeout_in_ms
    )
    response = PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.signature_name = name
    response.model_spec.version.value = version.number
    for alias, array in zip(fetches, arrays, strict=True):
        try:
            wire.encode(array, response.outputs[alias])
        except ValueError as error:
            raise StatusError(
                grpc.StatusCode.UNIMPLEMENTED,
                f"Output {alias} cannot be sent: {error}",
            ) from error
    return response


def _feeds(
    signature: SignatureDef, request: PredictRequest
) -> dict[str, np.ndarray]:
    """The tensors to feed, by their names in the graph."""
    _check_count(signature, request)
    feeds = {}
    for alias, info in signature.inputs.items():
        if alias in request.inputs:
            proto = request.inputs[alias]
        elif alias in signature.defaults:
            proto = signature.defaults[alias]
        else:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {info.name}) not "
                "found in request and no default value provided. Inputs "
                f"expected to be in the request {_names(request.inputs)}, or "
                "default input alias set: "
                f"{','.join(sorted(signature.defaults))}"
            )
        try:
            feeds[info.name] = wire.decode(proto)
        except (ValueError, MemoryError) as error:
            raise invalid(f"tensor parsing error: {alias}") from error
    used = request.inputs.keys() & signature.inputs.keys()
    if len(used) != len(request.inputs):
        raise invalid(
            "Inputs contains invalid name. Used request inputs: "
            f"{','.join(sorted(used))}, request input: "
            f"{','.join(sorted(request.inputs))}"
        )
    return feeds


def _check_count(signature: SignatureDef, request: PredictRequest) -> None:
    sent, wanted = set(request.inputs), set(signature.inputs)
    if len(sent) > len(wanted) or (
        len(sent) < len(wanted) and not signature.defaults
    ):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({_names(sent)}) != len({_names(wanted)}). "
            f"Sent extra: {_names(sent - wanted)}. "
            f"Missing but required: {_names(wanted - sent)}."
        )


def _fetches(
    signature: SignatureDef, request: PredictRequest
) -> dict[str, str]:
    """The names in the graph of the outputs asked for, by alias."""
    fetches: dict[str, str] = {}
    for alias in request.output_filter or signature.outputs:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs "
                f"expected to be in the set {_names(signature.outputs)}."
            )
        if alias in fetches:
            raise invalid(f"duplicate output tensor alias: {alias}")
        fetches[alias] = signature.outputs[alias].name
    return fetches


def _names(aliases) -> str:
    return "{" + ",".join(sorted(aliases)) + "}"
