import pytest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from tests.support.asking import SECONDS, examples, failure, spec

INVALID = "INVALID_ARGUMENT"


def ask(signature="regress", given=None, name="judge"):
    return RegressionRequest(
        model_spec=spec(name, signature),
        input=examples(1.0, 3.0) if given is None else given,
    )


@pytest.mark.parametrize("signature", ["regress", "regress_flat"])
def test_regress(prediction, signature):
    response = prediction.Regress(ask(signature), timeout=SECONDS)
    assert [r.value for r in response.result.regressions] == [2.5, 3.5]
    assert response.model_spec.name == "judge"
    assert response.model_spec.signature_name == signature
    assert response.model_spec.version.value == 1


def test_an_example_goes_before_the_context(prediction):
    request = ask(given=examples(None, 1.0, context=3.0))
    response = prediction.Regress(request, timeout=SECONDS)
    assert [r.value for r in response.result.regressions] == [3.5, 2.5]


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (RegressionRequest(), INVALID, "Missing ModelSpec"),
        (
            ask("nosuch"),
            INVALID,
            "No signature was found with the name: nosuch",
        ),
        (ask(given=examples()), INVALID, "Input is empty."),
        (ask("three"), INVALID, "Expected one output Tensor."),
        (
            ask("regress_wide"),
            INVALID,
            "Expected output Tensor shape to be either [batch_size] or "
            "[batch_size, 1] but got [2,2]",
        ),
        (
            ask("regress_text"),
            INVALID,
            "Expected output Tensor of DT_FLOAT.  Got: DT_STRING",
        ),
        (
            ask("regress_shorter"),
            INVALID,
            "Input batch size did not match output batch size: 2 vs. 1",
        ),
    ],
)
def test_regress_errors(prediction, request_, code, text):
    assert failure(prediction.Regress, request_) == (code, text)


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("regress_renamed", "No regression inputs found in SignatureDef: "),
        ("regress_unknown", "No regression outputs found in SignatureDef: "),
    ],
)
def test_a_signature_that_cannot_regress_is_shown(prediction, signature, text):
    code, told = failure(prediction.Regress, ask(signature))
    assert code == "FAILED_PRECONDITION"
    assert told.startswith(text)
