"""TensorProto to NumPy and back, as the C++ runtime does it.

A proto may hold fewer values than its shape asks for: the last one is then
repeated, and no value at all means zeros. Surplus values are dropped.

Note: the runtime would repeat without end; here a tensor that is larger than
256 MiB must hold its own values, so that a message of a few bytes cannot
exhaust the memory.
"""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType

_FIELDS = {
    tf.float32: ("float_val", np.float32),
    tf.float64: ("double_val", np.float64),
    tf.int64: ("int64_val", np.int64),
    tf.uint32: ("uint32_val", np.uint32),
    tf.uint64: ("uint64_val", np.uint64),
    tf.bool: ("bool_val", np.bool_),
    tf.string: ("string_val", np.object_),
    tf.float16: ("half_val", np.uint16),
    tf.bfloat16: ("half_val", np.uint16),
    tf.complex64: ("scomplex_val", np.float32),
    tf.complex128: ("dcomplex_val", np.float64),
    **dict.fromkeys(
        (tf.int32, tf.uint16, tf.int16, tf.uint8, tf.int8),
        ("int_val", np.int32),
    ),
}
_LARGEST_FILL = 2**28  # bytes
_BIT_PATTERNS = (tf.float16, tf.bfloat16, tf.complex64, tf.complex128)


def decode(proto: TensorProto) -> np.ndarray:
    """The array that a proto holds.

    Raises:
        ValueError: the proto is malformed or of a type that has no array.
    """
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    count = math.prod(shape)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError("the shape is not fully known")
    if count >= 2**63:
        raise ValueError("the shape is too large")
    try:
        dtype = tf.as_dtype(proto.dtype)
        field, stored = _FIELDS[dtype]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no array has dtype {proto.dtype}") from error
    if count and proto.tensor_content:
        flat = _from_content(proto.tensor_content, dtype, count)
    else:
        flat = np.array(getattr(proto, field), dtype=stored)
        if dtype in _BIT_PATTERNS:
            flat = flat.view(dtype.as_numpy_dtype)
        flat = flat.astype(dtype.as_numpy_dtype, copy=False)
        if flat.size < count and count * flat.itemsize > _LARGEST_FILL:
            raise ValueError("most of the values are not in the message")
        flat = _fit(flat, count)
    return flat.reshape(shape)


def encode(
    array: np.ndarray | bytes, proto: TensorProto, as_content: bool = False
) -> None:
    """Write an array to an empty proto.

    Args:
        as_content: whether the values go into `tensor_content`, as bytes,
            and not into their `*_val` field.

    Raises:
        ValueError: there is no field for its type.
    """
    if isinstance(array, bytes):  # NumPy would drop its trailing NULs
        array = np.array(array, dtype=object)
    array = np.asarray(array)
    dtype = _dtype(array)
    if dtype not in _FIELDS:
        raise ValueError(f"no field for dtype {dtype.name}")
    field, stored = _FIELDS[dtype]
    proto.dtype = dtype.as_datatype_enum
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = np.ascontiguousarray(array).reshape(-1)
    if as_content:
        proto.tensor_content = _content(flat, dtype)
        return
    if dtype in _BIT_PATTERNS:
        flat = flat.view(stored)
    getattr(proto, field).extend(flat.tolist())


def dtype_name(array: np.ndarray) -> str:
    """The type's name in the API: "DT_FLOAT"."""
    return DataType.Name(_dtype(array).as_datatype_enum)


def shape_text(array: np.ndarray) -> str:
    """The shape as the runtime writes it: "[2,3]"."""
    return f"[{','.join(map(str, np.shape(array)))}]"


def _dtype(array: np.ndarray) -> tf.DType:
    return tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)


def _content(flat: np.ndarray, dtype: tf.DType) -> bytes:
    if dtype != tf.string:
        return flat.tobytes()
    texts = [t.encode() if isinstance(t, str) else t for t in flat.tolist()]
    return b"".join([*(_varint(len(t)) for t in texts), *texts])


def _varint(number: int) -> bytes:
    digits = []
    while number >= 128:
        digits.append(number % 128 + 128)
        number //= 128
    return bytes([*digits, number])


def _strings(content: bytes, count: int) -> np.ndarray:
    """`count` lengths as varints, then the strings themselves."""
    lengths, position = [], 0
    for _ in range(count):
        length = shift = 0
        while content[position : position + 1] >= b"\x80":
            length += (content[position] - 128) << shift
            position, shift = position + 1, shift + 7
        if position == len(content) or shift > 28:
            raise ValueError("no length of a string")
        lengths.append(length + (content[position] << shift))
        position += 1
    if sum(lengths) != len(content) - position:
        raise ValueError("the strings have other lengths")
    flat = np.empty(count, object)
    for index, length in enumerate(lengths):
        flat[index] = content[position : position + length]
        position += length
    return flat


def _from_content(content: bytes, dtype: tf.DType, count: int) -> np.ndarray:
    if dtype == tf.string:
        return _strings(content, count)
    flat = np.frombuffer(content, dtype.as_numpy_dtype)
    if len(flat) != count:
        raise ValueError(f"{len(flat)} values where {count} belong")
    return flat


def _fit(flat: np.ndarray, count: int) -> np.ndarray:
    if flat.size >= count:
        return flat[:count]
    if flat.size == 0:
        empty = b"" if flat.dtype == np.object_ else 0
        return np.full(count, empty, dtype=flat.dtype)
    return np.pad(flat, (0, count - flat.size), mode="edge")
