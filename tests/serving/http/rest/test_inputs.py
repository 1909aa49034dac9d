"""What becomes of JSON, for dtypes and shapes that no other test has."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from tf_tokenrl.serving.http.rest.inputs import fill_inputs
from tf_tokenrl.serving.rpc import wire
from tf_tokenrl.serving.status import StatusError


def fill(document, dtype="float32", *names):
    """The arrays of a request whose inputs have one dtype."""
    number = tf.as_dtype(dtype).as_datatype_enum
    wanted = {name: TensorInfo(dtype=number) for name in names or ("x",)}
    request = PredictRequest()
    columns = fill_inputs(document, wanted, request.inputs)
    found = {n: wire.decode(proto) for n, proto in request.inputs.items()}
    return columns, found


def failure(document, dtype="float32", *names):
    with pytest.raises(StatusError) as caught:
        fill(document, dtype, *names)
    return caught.value.text


DTYPES = ["float32", "float64", "int32", "int16", "int8", "uint8"]
DTYPES += ["int64", "uint32", "uint64", "bool"]


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(DTYPES))
def test_arrays_come_as_they_were_sent(data, dtype):
    elements = {}
    if dtype.startswith("float"):
        elements = {"allow_subnormal": False}
    shape = arrays.array_shapes(min_dims=0, max_dims=3)
    array = data.draw(arrays.arrays(dtype, shape, elements=elements or None))
    columns, found = fill({"inputs": array.tolist()}, dtype)
    assert columns
    np.testing.assert_array_equal(found["x"], array)
    assert found["x"].dtype == array.dtype
    if array.ndim:
        columns, found = fill({"instances": array.tolist()}, dtype)
        assert not columns
        np.testing.assert_array_equal(found["x"], array)


def test_empty_lists():
    _, found = fill({"instances": [[], []]})
    assert found["x"].shape == (2, 0)
    _, found = fill({"inputs": []}, "string")
    assert found["x"].shape == (0,)


def test_strings():
    rows = [["é", {"b64": "/+8"}], ["", "\udcff"]]
    _, found = fill({"instances": rows}, "string")
    assert found["x"].tolist() == [
        ["é".encode(), b"\xff\xef"],
        [b"", b"\xff"],
    ]
    _, found = fill({"inputs": {"b64": "YQ=="}}, "string")
    assert found["x"] == b"a" and found["x"].shape == ()


@pytest.mark.parametrize(
    "text", ["YQ==", "YQ", "YQ..", " Y Q\n= =\t", "\x0b\x0cYR=="]
)
def test_base64_is_read_as_absl_reads_it(text):
    _, found = fill({"instances": [{"b64": text}]}, "string")
    assert found["x"].tolist() == [b"a"]


@pytest.mark.parametrize(
    ("value", "dtype", "held"),
    [
        (2**24, "float32", 2.0**24),
        (2**24 + 1, "float32", 2.0**24),
        (1435774380, "float32", 1435774336.0),
        (2**63 - 1, "float32", 2.0**63),
        (1e39, "float32", np.inf),
        (-1.7976931348623157e308, "float32", -np.inf),
        (2**53 + 1, "float64", 2.0**53),
        (2**64 - 1, "float64", 2.0**64),
    ],
)
def test_numbers_are_rounded_as_the_stock_server_rounds(value, dtype, held):
    """It dropped its check "without loss of precision" in March 2021."""
    for document in ({"instances": [value]}, {"inputs": [value]}):
        assert fill(document, dtype)[1]["x"].tolist() == [held]


def test_the_runtime_narrows_small_integers():
    _, found = fill({"instances": [300, -1]}, "uint8")
    assert found["x"].tolist() == [44, 255]


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (1.5, "int32", "1.5 Type: Number is not of expected type: int32"),
        (2**31, "int32", "2147483648 Type: Number is not of expected type: "),
        (-1, "uint32", "-1 Type: Number is not of expected type: uint32"),
        (2**63, "int64", "Type: Number is not of expected type: int64"),
        (True, "float32", "true Type: True is not of expected type: float"),
        (False, "int32", "false Type: False is not of expected type: int32"),
        (1, "bool", "1 Type: Number is not of expected type: bool"),
        (1, "string", "1 Type: Number is not of expected type: string"),
        (None, "float64", "null Type: Null is not of expected type: double"),
        ({}, "int64", "{} Type: Object is not of expected type: int64"),
        ({"a": 1}, "string", "not formatted correctly for base64 data"),
        ({"b64": 1}, "string", "not formatted correctly for base64 data"),
        ({"b64": "a"}, "string", "Unable to base64 decode"),
        ({"b64": "_-8="}, "string", "Unable to base64 decode"),
        ({"b64": "YQ="}, "string", "Unable to base64 decode"),
        ({"b64": "YQ==YQ=="}, "string", "Unable to base64 decode"),
        (1, "float16", "Conversion of JSON Value: 1 to type: half"),
        (1, "complex64", "Conversion of JSON Value: 1 to type: complex64"),
    ],
)
def test_values_of_another_kind(value, dtype, text):
    assert text in failure({"inputs": [value]}, dtype)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            [1, [2]],
            "Encountered list at unexpected level: 1 expected < 1",
        ),
        (
            [[1], 2],
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. "
            "Expected at level: 2",
        ),
        (
            [[1, 2], [3]],
            "Encountered list at unexpected size: 1 at level: 1 expected "
            "size: 2",
        ),
        (
            [[1, "a"], [3]],
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
    ],
)
def test_columns_that_are_no_tensor(value, text):
    assert failure({"inputs": value}) == text


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (
            [[1, 2], [3]],
            "Failed to process element: 1 of 'instances' list. Error: "
            "INVALID_ARGUMENT: Expecting tensor size: 2 but got: 1",
        ),
        (
            [[1, 2], [[3, 4]]],
            "Failed to process element: 1 of 'instances' list. Error: "
            "INVALID_ARGUMENT: Expecting shape [2] but got: [1,2]",
        ),
        (
            [1, {"x": 2}],
            "Expecting value/list but got object at item 1 of input list",
        ),
        (
            [{"x": 2}, 1],
            "Expecting object but got list at item 1 of input list",
        ),
        (
            [{"x": 2}, {"y": 1}],
            "Failed to process element: 1 key: y of 'instances' list. Error: "
            "INVALID_ARGUMENT: JSON object: does not have named input: y",
        ),
        (
            [{"x": "a"}],
            "Failed to process element: 0 key: x of 'instances' list. Error: "
            'INVALID_ARGUMENT: JSON Value: "a" Type: String is not of '
            "expected type: float",
        ),
    ],
)
def test_rows_that_are_no_tensor(rows, text):
    assert failure({"instances": rows}) == text


def test_rows_of_several_tensors_name_them_all():
    assert failure({"instances": [1]}, "float32", "x", "y") == (
        "instances is a plain list, but expecting list of objects as multiple "
        "input tensors required as per tensorinfo_map"
    )
    assert failure({"instances": [{"x": 1}]}, "float32", "x", "y") == (
        "Failed to process element: 0 of 'instances' list. JSON object: "
        '{"x": 1} keys must be equal to: x,y'
    )


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [1, 2]},
        {"instances": [{"x": 1}, {"x": 2}]},
        {"inputs": [1, 2]},
        {"inputs": {"x": [1, 2]}},
    ],
)
def test_what_has_a_default_may_be_left_out(document):
    number = tf.float32.as_datatype_enum
    wanted = {name: TensorInfo(dtype=number) for name in ("w", "x", "y")}
    request = PredictRequest()
    fill_inputs(document, wanted, request.inputs, {"w", "y"})
    assert list(request.inputs) == ["x"]
    assert wire.decode(request.inputs["x"]).tolist() == [1, 2]


def test_rows_leave_the_same_inputs_out():
    number = tf.float32.as_datatype_enum
    wanted = {name: TensorInfo(dtype=number) for name in ("x", "y")}
    rows = [{"x": 1}, {"x": 1, "y": 2}]
    with pytest.raises(StatusError, match="element: 1 .*does not have named"):
        fill_inputs({"instances": rows}, wanted, PredictRequest().inputs, "y")
    with pytest.raises(StatusError, match="keys must be equal to: x"):
        fill_inputs(
            {"instances": [{"y": 1}]}, wanted, PredictRequest().inputs, "y"
        )
