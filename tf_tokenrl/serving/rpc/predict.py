"""The RPC Predict: run any signature on tensors."""

import grpc
import numpy as np
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from tf_tokenrl.serving import metrics
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
from tf_tokenrl.serving.rpc import wire
from tf_tokenrl.serving.rpc.dispatch import METHODS, answer, effective_name
from tf_tokenrl.serving.status import StatusError, invalid


def predict(
    repository: Repository,
    request: PredictRequest,
    context: RequestContext = UNLIMITED,
) -> PredictResponse:
    """Run a signature.

    Raises:
        StatusError: what the real server would answer.
    """
    return answer(repository, request, context, run)


def run(
    servable: Servable,
    request: PredictRequest,
    flags: Flags,
    context: RequestContext = UNLIMITED,
) -> PredictResponse:
    """Run a signature of this servable, whichever the request names.

    Raises:
        StatusError: see `predict`.
    """
    name = effective_name(request.model_spec)
    signature = servable.signatures.get(name)
    if signature is None:
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f'Serving signature key "{name}" not found.',
        )
    if flags.enable_signature_method_name_check:
        _check_method(signature)
    feeds = _feeds(signature, request)
    fetches = _fetches(signature, request)
    with metrics.runtime(request.model_spec.name, "Predict"):
        arrays = servable.run(feeds, list(fetches.values()), context)
    response = PredictResponse()
    as_content = flags.enable_serialization_as_tensor_content
    for alias, array in zip(fetches, arrays, strict=True):
        try:
            wire.encode(array, response.outputs[alias], as_content)
        except ValueError as error:
            raise StatusError(
                grpc.StatusCode.UNIMPLEMENTED,
                f"Output {alias} cannot be sent: {error}",
            ) from error
    return response


def _check_method(signature: SignatureDef) -> None:
    if signature.method_name not in METHODS:
        raise StatusError(
            grpc.StatusCode.INTERNAL,
            "Expected prediction signature method_name to be one of "
            f"{{{', '.join(METHODS)}}}. Was: {signature.method_name}",
        )


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
