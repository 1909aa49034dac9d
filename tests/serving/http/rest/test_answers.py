import json
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow_serving.apis.classification_pb2 import ClassificationResult
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensorflow_serving.apis.regression_pb2 import RegressionResult

from tf_tokenrl.serving.http.rest import answers
from tf_tokenrl.serving.rpc import wire
from tf_tokenrl.serving.status import StatusError


def text(columns=False, **tensors):
    response = PredictResponse()
    for name, value in tensors.items():
        wire.encode(value, response.outputs[name])
    return answers.predictions(response.outputs, columns)


def failure(call, *arguments, **options):
    with pytest.raises(StatusError) as caught:
        call(*arguments, **options)
    assert caught.value.code.name == "INVALID_ARGUMENT"
    return caught.value.text


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]).flatmap(
        lambda dtype: arrays.arrays(
            dtype, arrays.array_shapes(max_dims=3, min_side=0)
        )
    )
)
def test_numbers_survive(array):
    rows = json.loads(text(y=array))["predictions"]
    columns = json.loads(text(True, y=array))["outputs"]
    assert rows == columns or np.isnan(array).any()
    read = np.array(rows, array.dtype).reshape(array.shape)
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (9000000, "9e+06"),
        (999999, "999999.0"),
        (0.5, "0.5"),
        (0.00003, "3e-05"),
        (555557.5, "555557.5"),
        (0.1, "0.1"),
        (1 / 3, "0.333333343"),
        (-0.0, "-0.0"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
    ],
)
def test_floats_are_written_as_the_real_server_does(value, written):
    array = np.float32([value])
    assert text(y=array) == f'{{\n    "predictions": [{written}\n    ]\n}}'


def test_doubles_have_seventeen_digits():
    assert "0.33333333333333331" in text(y=np.float64([1 / 3]))
    assert "0.2\n" in text(y=np.float64([0.2]))


def test_several_tensors_and_bytes():
    tensors = {
        "b_bytes": np.array([[b"\xff"], [b"a"]], object),
        "a": np.int32([1, 2]),
    }
    assert text(**tensors) == (
        '{\n    "predictions": [\n        {\n            "a": 1,\n'
        '            "b_bytes": [{"b64": "/w=="}]\n        },\n        {\n'
        '            "a": 2,\n            "b_bytes": [{"b64": "YQ=="}]\n'
        "        }\n    ]\n}"
    )
    assert json.loads(text(True, **tensors)) == {
        "outputs": {
            "a": [1, 2],
            "b_bytes": [[{"b64": "/w=="}], [{"b64": "YQ=="}]],
        }
    }


def test_no_rows():
    assert json.loads(text(y=np.zeros([0, 2]))) == {"predictions": []}
    empty = {"a": np.zeros([0, 2]), "b": np.array([], object)}
    assert json.loads(text(**empty)) == {"predictions": []}
    assert json.loads(text(True, y=np.zeros([2, 0]))) == {"outputs": [[], []]}


def test_what_cannot_be_written():
    assert failure(text) == "Cannot convert empty tensor map to JSON"
    assert failure(text, y=np.float32(1)) == (
        "Tensor name: y has no shape information "
    )
    rows = {"a": np.zeros([2]), "b": np.zeros([3])}
    assert "has inconsistent batch size: " in failure(text, **rows)
    assert failure(text, y=np.complex64([1])) == (
        "Failed to write JSON value for tensor type: complex64"
    )
    assert failure(text, y=np.array([1], ml_dtypes.bfloat16)) == (
        "Failed to write JSON value for tensor type: bfloat16"
    )
    assert failure(answers.classifications, ClassificationResult()) == (
        "Cannot convert empty ClassificationResults to JSON"
    )
    assert failure(answers.regressions, RegressionResult()) == (
        "Cannot convert empty RegressionResults to JSON"
    )
