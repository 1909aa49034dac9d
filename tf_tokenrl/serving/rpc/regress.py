"""The RPC Regress: tf.Examples to one number each."""

import grpc
import numpy as np
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.regression_pb2 import (
    RegressionRequest,
    RegressionResponse,
    RegressionResult,
)

from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
from tf_tokenrl.serving.rpc import tf_examples, wire
from tf_tokenrl.serving.rpc.dispatch import REGRESS, answer, effective_name
from tf_tokenrl.serving.status import StatusError, invalid


def regress(
    repository: Repository,
    request: RegressionRequest,
    context: RequestContext = UNLIMITED,
) -> RegressionResponse:
    """Regress on examples.

    Raises:
        StatusError: what the real server would answer.
    """
    return answer(repository, request, context, run)


def run(
    servable: Servable,
    request: RegressionRequest,
    flags: Flags,
    context: RequestContext = UNLIMITED,
) -> RegressionResponse:
    """Regress with this servable.

    Raises:
        StatusError: see `regress`.
    """
    name = effective_name(request.model_spec)
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    feed, fetches = plan(signature, flags)
    model = request.model_spec.name
    count, arrays = tf_examples.run(
        servable, request.input, [feed], fetches, context, model, "Regress"
    )
    return RegressionResponse(result=result(signature, count, arrays))


def plan(signature: SignatureDef, flags: Flags) -> tuple[str, list[str]]:
    """The tensor to feed with examples, and the one to fetch.

    Raises:
        StatusError: the signature cannot regress.
    """
    if (
        flags.enable_signature_method_name_check
        and signature.method_name != REGRESS
    ):
        raise invalid(
            f"Expected regression signature method_name to be {REGRESS}. "
            f"Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    for kind, tensors in (
        ("inputs", signature.inputs),
        ("outputs", signature.outputs),
    ):
        if kind not in tensors:
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"No regression {kind} found in SignatureDef: {signature}",
            )
    return signature.inputs["inputs"].name, [signature.outputs["outputs"].name]


def result(
    signature: SignatureDef, count: int, arrays: dict[str, np.ndarray]
) -> RegressionResult:
    """What was fetched, as a message.

    Args:
        count: how many examples were fed.
        arrays: by the names of `plan`.

    Raises:
        StatusError: the array is neither `[count]` nor `[count, 1]` of
            float32.
    """
    array = arrays[signature.outputs["outputs"].name]
    if np.ndim(array) != 1 and np.shape(array)[1:] != (1,):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or "
            f"[batch_size, 1] but got {wire.shape_text(array)}"
        )
    if len(array) != count:
        raise invalid(
            "Input batch size did not match output batch size: "
            f"{count} vs. {len(array)}"
        )
    if array.dtype != np.float32:
        raise invalid(
            "Expected output Tensor of DT_FLOAT.  Got: "
            f"{wire.dtype_name(array)}"
        )
    filled = RegressionResult()
    for value in array.reshape(-1):
        filled.regressions.add(value=value)
    return filled
