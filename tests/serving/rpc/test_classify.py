import pytest
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.input_pb2 import Input

from tests.support.asking import SECONDS, examples, failure, spec

INVALID = "INVALID_ARGUMENT"


def ask(signature="", given=None, name="judge", version=None):
    return ClassificationRequest(
        model_spec=spec(name, signature, version),
        input=examples(0.25, 1.0) if given is None else given,
    )


def rows(response):
    return [
        [(each.label, each.score) for each in row.classes]
        for row in response.result.classifications
    ]


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("", [[("yes", 0.25), ("no", 0.75)], [("yes", 1), ("no", 0)]]),
        ("labels", [[("yes", 0), ("no", 0)]] * 2),
        ("scores", [[("", 0.25), ("", 0.75)], [("", 1), ("", 0)]]),
    ],
)
def test_classify(prediction, signature, expected):
    response = prediction.Classify(ask(signature), timeout=SECONDS)
    assert rows(response) == expected
    answered = response.model_spec
    assert answered.name == "judge"
    assert answered.signature_name == (signature or "serving_default")
    assert answered.version.value == 1


def test_an_example_goes_before_the_context(prediction):
    request = ask("scores", examples(None, 0.25, context=1.0))
    response = prediction.Classify(request, timeout=SECONDS)
    assert [row[0][1] for row in rows(response)] == [1.0, 0.25]


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (ClassificationRequest(), INVALID, "Missing ModelSpec"),
        (ask(name=""), INVALID, "ModelSpec has no name specified."),
        (
            ask(version=2),
            "NOT_FOUND",
            "Servable not found for request: Specific(judge, 2)",
        ),
        (
            ask("nosuch"),
            INVALID,
            "No signature was found with the name: nosuch",
        ),
        (ask(given=Input()), INVALID, "Input is empty."),
        (ask(given=examples()), INVALID, "Input is empty."),
        (ask(given=examples(context=1.0)), INVALID, "Input is empty."),
        (
            ask("subtract", name="half"),
            INVALID,
            "Expected one input Tensor.",
        ),
        (
            ask("three"),
            INVALID,
            "Expected one or two output Tensors, found 3",
        ),
        (
            ask("flat"),
            INVALID,
            "Expected Tensor shape: [batch_size num_classes] but got [2]",
        ),
        (
            ask("numbers"),
            INVALID,
            "Expected classes Tensor of DT_STRING. Got: DT_FLOAT",
        ),
        (
            ask("shorter"),
            INVALID,
            "Expected scores output batch size of 2. Got: 1",
        ),
        (
            ask("narrower"),
            INVALID,
            "Tensors class and score should match in dim_size(1). Got 1 vs. 2",
        ),
    ],
)
def test_classify_errors(prediction, request_, code, text):
    assert failure(prediction.Classify, request_) == (code, text)


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("renamed", "No classification inputs found in SignatureDef: inputs"),
        (
            "unknown",
            "Expected classification signature outputs to contain at least "
            'one of "classes" or "scores". Signature was: inputs',
        ),
    ],
)
def test_a_signature_that_cannot_classify_is_shown(prediction, signature, text):
    code, told = failure(prediction.Classify, ask(signature))
    assert code == "FAILED_PRECONDITION"
    assert told.startswith(text)
    assert 'name: "rows:0"' in told
