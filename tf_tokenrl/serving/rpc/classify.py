"""The RPC Classify: tf.Examples to classes with scores."""

import grpc
import numpy as np
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
    ClassificationResult,
)

from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
from tf_tokenrl.serving.rpc import tf_examples, wire
from tf_tokenrl.serving.rpc.dispatch import CLASSIFY, answer, effective_name
from tf_tokenrl.serving.status import StatusError, invalid


def classify(
    repository: Repository,
    request: ClassificationRequest,
    context: RequestContext = UNLIMITED,
) -> ClassificationResponse:
    """Classify examples.

    Raises:
        StatusError: what the real server would answer.
    """
    return answer(repository, request, context, run)


def run(
    servable: Servable,
    request: ClassificationRequest,
    flags: Flags,
    context: RequestContext = UNLIMITED,
) -> ClassificationResponse:
    """Classify with this servable.

    Raises:
        StatusError: see `classify`.
    """
    name = effective_name(request.model_spec)
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    feed, fetches = plan(signature, flags)
    model = request.model_spec.name
    count, arrays = tf_examples.run(
        servable, request.input, [feed], fetches, context, model, "Classify"
    )
    return ClassificationResponse(result=result(signature, count, arrays))


def plan(signature: SignatureDef, flags: Flags) -> tuple[str, list[str]]:
    """The tensor to feed with examples, and those to fetch.

    Raises:
        StatusError: the signature cannot classify.
    """
    if (
        flags.enable_signature_method_name_check
        and signature.method_name != CLASSIFY
    ):
        raise invalid(
            "Expected classification signature method_name to be "
            f"{CLASSIFY}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(
            "Expected one or two output Tensors, found "
            f"{len(signature.outputs)}"
        )
    if "inputs" not in signature.inputs:
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"No classification inputs found in SignatureDef: {signature}",
        )
    known = [a for a in ("classes", "scores") if a in signature.outputs]
    if not known:
        raise StatusError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "Expected classification signature outputs to contain at least "
            f'one of "classes" or "scores". Signature was: {signature}',
        )
    fetches = [signature.outputs[alias].name for alias in known]
    return signature.inputs["inputs"].name, fetches


def result(
    signature: SignatureDef, count: int, arrays: dict[str, np.ndarray]
) -> ClassificationResult:
    """What was fetched, as a message.

    Args:
        count: how many examples were fed.
        arrays: by the names of `plan`.

    Raises:
        StatusError: the arrays are not `[count, classes]`, strings and
            float32.
    """
    classes = _checked("classes", np.object_, signature, count, arrays)
    scores = _checked("scores", np.float32, signature, count, arrays)
    widths = [a.shape[1] for a in (classes, scores) if a is not None]
    if widths[0] != widths[-1]:
        raise invalid(
            "Tensors class and score should match in dim_size(1). Got "
            f"{widths[0]} vs. {widths[1]}"
        )
    filled = ClassificationResult()
    for row in range(count):
        answer = filled.classifications.add()
        for column in range(widths[0]):
            each = answer.classes.add()
            if classes is not None:
                each.label = classes[row, column].decode(errors="replace")
            if scores is not None:
                each.score = scores[row, column]
    return filled


def _checked(
    alias: str,
    dtype: type,
    signature: SignatureDef,
    count: int,
    arrays: dict[str, np.ndarray],
) -> np.ndarray | None:
    if alias not in signature.outputs:
        return None
    array = arrays[signature.outputs[alias].name]
    if np.ndim(array) != 2:
        raise invalid(
            "Expected Tensor shape: [batch_size num_classes] but got "
            f"{wire.shape_text(array)}"
        )
    if array.dtype != dtype:
        wanted = "DT_STRING" if dtype is np.object_ else "DT_FLOAT"
        raise invalid(
            f"Expected {alias} Tensor of {wanted}. Got: "
            f"{wire.dtype_name(array)}"
        )
    if len(array) != count:
        raise invalid(
            f"Expected {alias} output batch size of {count}. Got: {len(array)}"
        )
    return array
