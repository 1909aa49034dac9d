import pytest
from tensorflow_serving.apis.inference_pb2 import (
    InferenceTask,
    MultiInferenceRequest,
)

from tests.support.asking import SECONDS, examples, failure, spec

INVALID = "INVALID_ARGUMENT"


def task(method="classify", signature="", name="judge", version=None):
    return InferenceTask(
        model_spec=spec(name, signature, version),
        method_name=f"tensorflow/serving/{method}",
    )


def ask(*tasks, given=None):
    return MultiInferenceRequest(
        tasks=tasks, input=examples(0.25, 1.0) if given is None else given
    )


REGRESS = task("regress", "regress")


def test_each_task_is_answered_in_order(prediction):
    request = ask(REGRESS, task(), task("classify", "labels"))
    response = prediction.MultiInference(request, timeout=SECONDS)
    regression, classes, labels = response.results
    values = [r.value for r in regression.regression_result.regressions]
    assert values == [2.125, 2.5]
    rows = classes.classification_result.classifications
    assert [row.classes[0].score for row in rows] == [0.25, 1.0]
    rows = labels.classification_result.classifications
    assert [row.classes[1].label for row in rows] == ["no", "no"]
    names = [result.model_spec.signature_name for result in response.results]
    assert names == ["regress", "serving_default", "labels"]
    for result in response.results:
        assert result.model_spec.name == "judge"
        assert result.model_spec.version.value == 1


def test_signatures_with_inputs_of_their_own_all_get_the_examples(prediction):
    """As those of TensorFlow 2, where each has a tensor of its own."""
    tasks = task(), task("regress", "regress_other")
    request = ask(*tasks, given=examples(0.25))
    response = prediction.MultiInference(request, timeout=SECONDS)
    classes, regression = response.results
    rows = classes.classification_result.classifications
    assert [row.classes[0].score for row in rows] == [0.25]
    assert len(regression.regression_result.regressions) == 1


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (ask(), INVALID, "ModelSpec has no name specified."),
        (
            ask(task(), task("regress", "regress", name="half")),
            INVALID,
            "All ModelSpecs in a MultiInferenceRequest must access the same "
            "model name.",
        ),
        (
            ask(task(), task("regress", "regress", name="")),
            INVALID,
            "Found ModelSpec with an empty model name.",
        ),
        (
            ask(task(), task(signature="serving_default")),
            INVALID,
            "Duplicate evaluation of signature: serving_default",
        ),
        (
            ask(task(), task("regress", "nosuch")),
            INVALID,
            "Requested signature not found in model graph: nosuch",
        ),
        (
            ask(task("predict")),
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (
            ask(task("classify", "regress")),
            "FAILED_PRECONDITION",
            None,
        ),
        (ask(task(), given=examples()), INVALID, "Input is empty."),
        (
            ask(task(version=3)),
            "NOT_FOUND",
            "Servable not found for request: Specific(judge, 3)",
        ),
    ],
)
def test_multi_inference_errors(prediction, request_, code, text):
    told = failure(prediction.MultiInference, request_)
    assert told[0] == code
    assert text is None or told[1] == text
