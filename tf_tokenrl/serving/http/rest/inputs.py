"""Requests of the REST API: JSON to tensors.

Values are judged as the real server judges them: by JSON's kinds and the
signature's dtypes, with its texts.
"""

import base64
import math
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tf_tokenrl.serving.http.rest.json_text import shown
from tf_tokenrl.serving.rpc import wire
from tf_tokenrl.serving.status import StatusError, invalid

_INTEGERS = {
    tf.int32: (-(2**31), 2**31),
    tf.int16: (-(2**31), 2**31),  # the runtime narrows these three
    tf.int8: (-(2**31), 2**31),
    tf.uint8: (-(2**31), 2**31),
    tf.int64: (-(2**63), 2**63),
    tf.uint32: (0, 2**32),
    tf.uint64: (0, 2**64),
}
_FLOATS = (tf.float32, tf.float64)
_NAMES = {tf.float32: "float", tf.float64: "double", tf.float16: "half"}
# As absl::Base64Unescape reads it: any white space, padding all or none.
_BASE64 = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")
_WHITE_SPACE = re.compile(r"[ \t\n\v\f\r]+")
_KINDS = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}


def fill_signature(document: Mapping[str, Any], spec: ModelSpec) -> None:
    """Take over the name of the signature, if there is one.

    Raises:
        StatusError: it is no string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    spec.signature_name = name.encode(errors="surrogateescape").decode(
        errors="replace"
    )


def fill_inputs(
    document: Mapping[str, Any],
    wanted: Mapping[str, TensorInfo],
    inputs: Mapping[str, TensorProto],
    optional: Container[str] = (),
) -> bool:
    """Write the tensors of a predict request; True if they come by columns.

    Args:
        document: the request.
        wanted: the signature's inputs.
        inputs: a map of a request, where the tensors go.
        optional: names that may be left out, for the signature has defaults.

    Raises:
        StatusError: see the texts.
    """
    rows, columns = "instances" in document, "inputs" in document
    if rows and columns:
        raise _wrong(
            document,
            "Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist ",
        )
    if columns:
        _fill_columns(document["inputs"], wanted, inputs, optional)
    elif rows:
        _fill_rows(document, wanted, inputs, optional)
    else:
        raise invalid("Missing 'inputs' or 'instances' key")
    return columns


def from_base64(value: Any) -> bytes:
    """The bytes of `{"b64": "..."}`.

    Raises:
        StatusError: it is no such object, or no base64.
    """
    if not is_base64(value):
        raise invalid(
            f"JSON Value: {shown(value)} not formatted correctly for base64 "
            "data"
        )
    match = _BASE64.fullmatch(_WHITE_SPACE.sub("", value["b64"]))
    if match is None or len(match[1]) % 4 == 1:
        raise invalid("Unable to base64 decode")
    text, missing = match[1], -len(match[1]) % 4
    if len(match[2]) not in (0, missing):
        raise invalid("Unable to base64 decode")
    return base64.b64decode(text + "=" * missing)


def is_base64(value: Any) -> bool:
    """Whether a value is an object with the one key "b64", a string."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get("b64"), str)
    )


def kind_of(value: Any) -> str:
    """JSON's word for what a value is."""
    if isinstance(value, bool):
        return "True" if value else "False"
    return _KINDS[type(value)]


def type_name(dtype: tf.DType) -> str:
    """The runtime's own name of a dtype."""
    return _NAMES.get(dtype, dtype.name)


def _required(wanted, optional) -> list[str]:
    """The inputs that must be given; all of them where none must be."""
    return [name for name in wanted if name not in optional] or list(wanted)


def _fill_columns(value, wanted, inputs, optional) -> None:
    required = _required(wanted, optional)
    if not isinstance(value, dict) or is_base64(value):
        if len(required) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as "
                "multiple input tensors required as per tensorinfo_map"
            )
        value = {required[0]: value}
    for name in sorted(wanted):
        if name not in value:
            if name in optional:
                continue
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        dtype = tf.as_dtype(wanted[name].dtype)
        shape = _shape(value[name])
        flat = _flat(value[name], shape, dtype)
        _write(inputs[name], name, dtype, shape, flat)


def _fill_rows(document, wanted, inputs, optional) -> None:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise _wrong(document, "Expecting 'instances' to be an list/array")
    if not rows:
        raise _wrong(document, "No values in 'instances' array")
    required = _required(wanted, optional)
    if not isinstance(rows[0], dict) and len(required) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as "
            "multiple input tensors required as per tensorinfo_map"
        )
    named = _is_named(rows[0])
    given = required[:1]
    if named:  # each row names what the first one names
        left_out = {n for n in wanted if n in optional and n not in rows[0]}
        given = [name for name in wanted if name not in left_out]
    for number, row in enumerate(rows):
        if _is_named(row) != named:
            what = (
                "object but got list" if named else "value/list but got object"
            )
            raise invalid(f"Expecting {what} at item {number} of input list")
        if named and row.keys() != set(given):
            _check_keys(row, number, given)
    for name in sorted(given):
        values = [row[name] for row in rows] if named else rows
        _fill_column(values, name, wanted[name], inputs[name], named)


def _is_named(row) -> bool:
    return isinstance(row, dict) and not is_base64(row)


def _check_keys(row, number: int, wanted) -> None:
    for name in row:
        if name not in wanted:
            raise _element(
                number,
                f" key: {name}",
                invalid(f"JSON object: does not have named input: {name}"),
            )
    raise invalid(
        f"Failed to process element: {number} of 'instances' list. JSON "
        f"object: {shown(row)} keys must be equal to: "
        f"{','.join(sorted(wanted))}"
    )


def _fill_column(values, name, info, proto, named: bool) -> None:
    """One tensor of all rows."""
    dtype = tf.as_dtype(info.dtype)
    shape = [len(values), *_shape(values[0])]
    try:
        flat = _flat(values, shape, dtype)
    except StatusError:
        _explain_rows(values, dtype, f" key: {name}" if named else "")
        raise
    _write(proto, name, dtype, shape, flat)


def _explain_rows(values, dtype, key: str) -> None:
    """Raise what is wrong with the first row that does not fit."""
    first = _shape(values[0])
    for number, value in enumerate(values):
        shape = _shape(value)
        size, wanted = math.prod(shape), math.prod(first)
        try:
            _flat(value, shape, dtype)
            if size != wanted:
                raise invalid(
                    f"Expecting tensor size: {wanted} but got: {size}"
                )
            if shape != first:
                raise invalid(
                    f"Expecting shape {_bracketed(first)} but got: "
                    f"{_bracketed(shape)}"
                )
        except StatusError as error:
            raise _element(number, key, error) from error


def _element(number: int, key: str, error: StatusError) -> StatusError:
    return invalid(
        f"Failed to process element: {number}{key} of 'instances' list. "
        f"Error: {error}"
    )


def _shape(value) -> list[int]:
    """The sizes of the first list at each level."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _flat(value, shape: list[int], dtype: tf.DType) -> list:
    """The values of a list of lists, row by row."""
    level = [value]
    for size in shape:
        if any(type(v) is not list or len(v) != size for v in level):
            _explain(value, shape, dtype)
        level = [item for part in level for item in part]
    if _surely_fit(level, dtype):
        return level
    if list in map(type, level):
        _explain(value, shape, dtype)
    return [_convert(item, len(shape), shape, dtype) for item in level]


def _surely_fit(values: list, dtype: tf.DType) -> bool:
    """Whether plain numbers need no closer look; False says nothing."""
    kinds = set(map(type, values))
    if dtype in _INTEGERS and kinds == {int}:
        low, high = _INTEGERS[dtype]
        return low <= min(values) and max(values) < high
    return dtype in _FLOATS and kinds <= {int, float}


def _explain(value, shape: list[int], dtype: tf.DType) -> None:
    """Raise what is wrong with the first value that does not fit."""
    todo: list[Iterator] = [iter([value])]
    while todo:
        for item in todo[-1]:
            level = len(todo) - 1
            if not isinstance(item, list):
                _convert(item, level, shape, dtype)
                continue
            if level >= len(shape):
                raise invalid(
                    f"Encountered list at unexpected level: {level} expected "
                    f"< {len(shape)}"
                )
            if len(item) != shape[level]:
                raise invalid(
                    f"Encountered list at unexpected size: {len(item)} at "
                    f"level: {level} expected size: {shape[level]}"
                )
            todo.append(iter(item))
            break
        else:
            todo.pop()


def _convert(value, level: int, shape: list[int], dtype: tf.DType):
    """One value as a tensor of this dtype holds it."""
    if level != len(shape):
        raise invalid(
            f"JSON Value: {shown(value)} found at incorrect level: "
            f"{level + 1} in the JSON DOM. Expected at level: {len(shape)}"
        )
    if isinstance(value, dict) and dtype == tf.string:
        return from_base64(value)
    if isinstance(value, dict) or not _is_of(value, dtype):
        raise invalid(
            f"JSON Value: {shown(value)} Type: {kind_of(value)} is not of "
            f"expected type: {type_name(dtype)}"
        )
    if dtype == tf.string:
        return value.encode(errors="surrogateescape")
    return value


def _is_of(value, dtype: tf.DType) -> bool:
    """Whether JSON's kind of a value is that of a dtype."""
    if dtype == tf.string:
        return isinstance(value, str)
    if dtype == tf.bool:
        return isinstance(value, bool)
    if dtype in _FLOATS:
        return type(value) in (int, float)
    if dtype in _INTEGERS:
        low, high = _INTEGERS[dtype]
        return type(value) is int and low <= value < high
    raise StatusError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"Conversion of JSON Value: {shown(value)} to type: {type_name(dtype)}",
    )


def _write(proto, name: str, dtype: tf.DType, shape, flat: list) -> None:
    array = np.empty(len(flat), object)
    array[:] = flat
    if dtype in _INTEGERS and dtype.size < 4:  # as the runtime narrows them
        array = array.astype(np.int32)
    try:
        with np.errstate(over="ignore"):  # beyond float32 it is Infinity
            array = array.astype(dtype.as_numpy_dtype)
        wire.encode(array.reshape(shape), proto)
    except ValueError as error:  # more dimensions than a tensor can have
        raise invalid(f"tensor parsing error: {name}") from error


def _bracketed(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _wrong(document, text: str) -> StatusError:
    return invalid(f"JSON Value: {shown(document)} {text}")
