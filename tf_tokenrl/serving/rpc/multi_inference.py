"""The RPC MultiInference: several signatures on the same examples, at once."""

import grpc
from tensorflow_serving.apis.inference_pb2 import (
    InferenceTask,
    MultiInferenceRequest,
    MultiInferenceResponse,
)
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
from tf_tokenrl.serving.rpc import classify, regress, tf_examples
from tf_tokenrl.serving.rpc.dispatch import (
    CLASSIFY,
    REGRESS,
    effective_name,
    set_spec,
)
from tf_tokenrl.serving.status import StatusError, invalid


def multi_inference(
    repository: Repository,
    request: MultiInferenceRequest,
    context: RequestContext = UNLIMITED,
) -> MultiInferenceResponse:
    """Run all tasks in one run of the version that the first task names.

    Raises:
        StatusError: what the real server would answer.
    """
    spec = request.tasks[0].model_spec if request.tasks else ModelSpec()
    with repository.acquire(spec) as version:
        response = run(version.loaded, request, repository.flags, context)
        for task, result in zip(request.tasks, response.results, strict=True):
            set_spec(result.model_spec, task.model_spec, version.number)
    return response


def run(
    servable: Servable,
    request: MultiInferenceRequest,
    flags: Flags,
    context: RequestContext = UNLIMITED,
) -> MultiInferenceResponse:
    """Run all tasks with this servable.

    Raises:
        StatusError: see `multi_inference`.
    """
    feeds, fetches = _plan(servable, request, flags)
    model = request.tasks[0].model_spec.name
    count, arrays = tf_examples.run(
        servable,
        request.input,
        feeds,
        fetches,
        context,
        model,
        "MultiInference",
    )
    response = MultiInferenceResponse()
    for task in request.tasks:
        signature = servable.signatures[effective_name(task.model_spec)]
        result = response.results.add()
        if task.method_name == CLASSIFY:
            result.classification_result.CopyFrom(
                classify.result(signature, count, arrays)
            )
        else:
            result.regression_result.CopyFrom(
                regress.result(signature, count, arrays)
            )
    return response


def _plan(
    servable: Servable, request: MultiInferenceRequest, flags: Flags
) -> tuple[list[str], list[str]]:
    """The tensors to feed, one or more of each signature, and to fetch."""
    seen: set[str] = set()
    feeds: set[str] = set()
    fetches: set[str] = set()
    for task in request.tasks:
        _check_model(task, request.tasks[0])
        name = effective_name(task.model_spec)
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        feed, outputs = _plan_of(servable, task, flags)
        feeds.add(feed)
        fetches.update(outputs)
    if not feeds:
        raise invalid("MultiInferenceRequest has no tasks.")
    return sorted(feeds), sorted(fetches)


def _check_model(task: InferenceTask, first: InferenceTask) -> None:
    if not task.model_spec.name:
        raise invalid("Found ModelSpec with an empty model name.")
    if task.model_spec.name != first.model_spec.name:
        raise invalid(
            "All ModelSpecs in a MultiInferenceRequest must access the same "
            "model name."
        )


def _plan_of(
    servable: Servable, task: InferenceTask, flags: Flags
) -> tuple[str, list[str]]:
    name = effective_name(task.model_spec)
    if name not in servable.signatures:
        raise invalid(f"Requested signature not found in model graph: {name}")
    signature = servable.signatures[name]
    if task.method_name == CLASSIFY:
        return classify.plan(signature, flags)
    if task.method_name == REGRESS:
        return regress.plan(signature, flags)
    raise StatusError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"Unsupported signature method_name: {task.method_name}",
    )
