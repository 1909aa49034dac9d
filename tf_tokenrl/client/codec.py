"""NumPy to TensorProto and back, without TensorFlow."""

import math
from typing import Any

import ml_dtypes
import numpy as np
from google.protobuf.message import Message

from tf_tokenrl.client.protos import TensorProto
from tf_tokenrl.errors import TokenRLError

STRING = 7
_DTYPES = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint8),
    5: np.dtype(np.int16),
    6: np.dtype(np.int8),
    STRING: np.dtype(np.object_),
    8: np.dtype(np.complex64),
    9: np.dtype(np.int64),
    10: np.dtype(np.bool_),
    14: np.dtype(ml_dtypes.bfloat16),
    17: np.dtype(np.uint16),
    18: np.dtype(np.complex128),
    19: np.dtype(np.float16),
    22: np.dtype(np.uint32),
    23: np.dtype(np.uint64),
    24: np.dtype(ml_dtypes.float8_e5m2),
    25: np.dtype(ml_dtypes.float8_e4m3fn),
    29: np.dtype(ml_dtypes.int4),
    30: np.dtype(ml_dtypes.uint4),
}
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}
# The field of the values where it is not `int_val`, and how it stores them.
_FIELDS = {
    1: ("float_val", np.float32),
    2: ("double_val", np.float64),
    STRING: ("string_val", np.object_),
    8: ("scomplex_val", np.float32),
    9: ("int64_val", np.int64),
    10: ("bool_val", np.bool_),
    14: ("half_val", np.uint16),
    18: ("dcomplex_val", np.float64),
    19: ("half_val", np.uint16),
    22: ("uint32_val", np.uint32),
    23: ("uint64_val", np.uint64),
}
_BIT_PATTERNS = (8, 14, 18, 19)
_FLOAT8 = (24, 25)


def encode(value: Any) -> Message:
    """The proto of an array, or of what NumPy can make one of.

    Strings may be `str`, sent as UTF-8, or `bytes`.

    Raises:
        TypeError: there is no tensor of such values.
    """
    array = _array(value)
    dtype = array.dtype.newbyteorder("=")
    number = STRING if dtype.kind in "SU" else _NUMBERS.get(dtype)
    if number is None:
        raise TypeError(f"no tensor has the dtype {array.dtype}")
    proto = TensorProto(dtype=number)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if number == STRING:
        proto.string_val.extend(_to_bytes(item) for item in array.flat)
    else:
        proto.tensor_content = _little_endian(array).tobytes()
    return proto


def decode(proto: Message) -> np.ndarray:
    """The array that a proto holds; strings become `bytes` objects.

    Fewer values than the shape asks for are completed with the last one,
    none at all with zeros.

    Raises:
        ValueError: the proto is malformed or of a type unknown here.
    """
    if proto.dtype not in _DTYPES:
        raise ValueError(f"no array has the tensor type {proto.dtype}")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    dtype = _DTYPES[proto.dtype]
    content = proto.tensor_content
    if proto.dtype in _FLOAT8:
        content = content or proto.float8_val
    if content:
        return np.frombuffer(content, dtype).reshape(shape).copy()
    field, stored = _FIELDS.get(proto.dtype, ("int_val", np.int32))
    values: np.ndarray = np.array(getattr(proto, field), dtype=stored)
    if proto.dtype in _BIT_PATTERNS:
        values = values.view(dtype)
    return _fit(values.astype(dtype), math.prod(shape)).reshape(shape)


def name(number: int) -> str:
    """What NumPy calls the tensor type `number`; "string" for strings."""
    if number == STRING:
        return "string"
    return _DTYPES[number].name if number in _DTYPES else f"type {number}"


def _array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    loose = np.asarray(value, dtype=object)
    if isinstance(next(loose.flat, None), str | bytes):
        return loose  # an array of "S" would drop trailing NULs
    return np.asarray(value)


def utf8(text: str) -> bytes:
    """A text as it travels.

    Raises:
        TokenRLError: it holds half a surrogate pair, which UTF-8 has not.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise TokenRLError(
            f"The text holds half a surrogate pair at character {error.start}, "
            "which UTF-8 cannot write: replace it."
        ) from error


def _to_bytes(item: Any) -> bytes:
    if isinstance(item, str):
        return utf8(item)
    if isinstance(item, bytes):
        return item
    raise TypeError(f"no tensor has values like {item!r}")


def _little_endian(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _fit(flat: np.ndarray, count: int) -> np.ndarray:
    if flat.size == 0:
        empty = b"" if flat.dtype == np.object_ else 0
        return np.full(count, empty, dtype=flat.dtype)
    return np.pad(flat, (0, max(count - flat.size, 0)), mode="edge")
