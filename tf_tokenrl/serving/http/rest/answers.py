"""Answers of the REST API: tensors and results to JSON.

Floats are written as the real server writes them: six digits where they tell
the number, else nine (seventeen for doubles); never without a point or an
exponent; NaN and Infinity as words.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.classification_pb2 import ClassificationResult
from tensorflow_serving.apis.regression_pb2 import RegressionResult

from tf_tokenrl.serving.http.rest.inputs import type_name
from tf_tokenrl.serving.rpc import wire
from tf_tokenrl.serving.status import invalid

_INTEGERS = {tf.int32, tf.int16, tf.int8, tf.uint8, tf.int64}
_INTEGERS |= {tf.uint32, tf.uint64}
_DIGITS = {tf.float32: 9, tf.float64: 17}


def predictions(outputs: Mapping[str, TensorProto], columns: bool) -> str:
    """The answer to a predict request.

    Args:
        outputs: tensors by name; a single one stands without its name.
        columns: a list per tensor, as the request had, instead of per row.

    Raises:
        StatusError: a tensor has no JSON, or rows do not agree.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    if columns:
        return _columns(outputs)
    return _rows(outputs)


def classifications(result: ClassificationResult) -> str:
    """The answer to a classify request: label and score of each class.

    Raises:
        StatusError: it is empty.
    """
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    rows = [
        _listed(
            _listed([_text(c.label.encode()), *_floats([c.score], np.float32)])
            for c in row.classes
        )
        for row in result.classifications
    ]
    return f'{{\n    "results": [{", ".join(rows)}\n    ]\n}}'


def regressions(result: RegressionResult) -> str:
    """The answer to a regress request: a value for each example.

    Raises:
        StatusError: it is empty.
    """
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    values = [regression.value for regression in result.regressions]
    return f'{{\n    "results": {_listed(_floats(values, np.float32))}\n}}'


def _rows(outputs: Mapping[str, TensorProto]) -> str:
    size = -1
    for name, proto in outputs.items():
        shape = [dimension.size for dimension in proto.tensor_shape.dim]
        if not shape:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size not in (-1, shape[0]):
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: "
                f"{shape[0]} expecting: {size}"
            )
        size = shape[0]
    if not size:
        return '{\n    "predictions": []\n}'
    columns = {name: _items(name, p) for name, p in sorted(outputs.items())}
    if len(columns) == 1:
        (items,) = columns.values()
        return f'{{\n    "predictions": [{", ".join(items)}\n    ]\n}}'
    names = [f"            {json.dumps(name)}: " for name in columns]
    rows = [
        ",\n".join(map("".join, zip(names, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]
    joined = "\n        },\n        {\n".join(rows)
    return (
        f'{{\n    "predictions": [\n        {{\n{joined}\n        }}\n    ]\n}}'
    )


def _columns(outputs: Mapping[str, TensorProto]) -> str:
    values = {}
    for name, proto in sorted(outputs.items()):
        items = _items(name, proto)
        values[name] = _listed(items) if proto.tensor_shape.dim else items[0]
    if len(values) == 1:
        (value,) = values.values()
        return f'{{\n    "outputs": {value}\n}}'
    members = [
        f"        {json.dumps(name)}: {value}" for name, value in values.items()
    ]
    joined = ",\n".join(members)
    return f'{{\n    "outputs": {{\n{joined}\n    }}\n}}'


def _items(name: str, proto: TensorProto) -> list[str]:
    """A tensor along its first dimension; a scalar as one item."""
    array = wire.decode(proto)
    items = _values(name, tf.as_dtype(proto.dtype), array.reshape(-1))
    for axis in range(array.ndim - 1, 0, -1):
        size = array.shape[axis]
        items = [
            _listed(items[start * size : (start + 1) * size])
            for start in range(math.prod(array.shape[:axis]))
        ]
    return items


def _values(name: str, dtype: tf.DType, flat: np.ndarray) -> list[str]:
    if dtype in _DIGITS:
        return _floats(flat.tolist(), flat.dtype)
    if dtype in _INTEGERS:
        return list(map(str, flat.tolist()))
    if dtype == tf.bool:
        return ["true" if value else "false" for value in flat]
    if dtype == tf.string and name.endswith("_bytes"):
        return [_bytes(value) for value in flat]
    if dtype == tf.string:
        return list(map(_text, flat))
    raise invalid(
        f"Failed to write JSON value for tensor type: {type_name(dtype)}"
    )


def _floats(values: Sequence[float], dtype) -> list[str]:
    texts = [f"{value:g}" for value in values]
    digits = _DIGITS[tf.as_dtype(dtype)]
    read = np.array(list(map(float, texts)), dtype).tolist()
    return [
        _float(text if value == same else f"{value:.{digits}g}")
        for text, value, same in zip(texts, values, read, strict=True)
    ]


def _float(text: str) -> str:
    if text[-1] in "fn":
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(text, "NaN")
    return text if "." in text or "e" in text else f"{text}.0"


def _text(value: bytes) -> str:
    return json.dumps(
        value.decode(errors="surrogateescape"), ensure_ascii=False
    )


def _bytes(value: bytes) -> str:
    return f'{{"b64": "{base64.b64encode(value).decode()}"}}'


def _listed(items) -> str:
    return f"[{', '.join(items)}]"
