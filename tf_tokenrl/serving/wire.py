"""TensorProto to NumPy and back, as the C++ runtime does it.

A proto may hold fewer values than its shape asks for: the last one is then
repeated, and no value at all means zeros. Surplus values are dropped.
"""

import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

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
        flat = _fit(flat.astype(dtype.as_numpy_dtype, copy=False), count)
    return flat.reshape(shape)


def encode(array: np.ndarray | bytes, proto: TensorProto) -> None:
    """Write an array to an empty proto, the values in their `*_val` field.

    Raises:
        ValueError: there is no field for its type.
    """
    if isinstance(array, bytes):  # NumPy would drop its trailing NULs
        array = np.array(array, dtype=object)
    array = np.asarray(array)
    dtype = tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
    if dtype not in _FIELDS:
        raise ValueError(f"no field for dtype {dtype.name}")
    field, stored = _FIELDS[dtype]
    proto.dtype = dtype.as_datatype_enum
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = np.ascontiguousarray(array).reshape(-1)
    if dtype in _BIT_PATTERNS:
        flat = flat.view(stored)
    getattr(proto, field).extend(flat.tolist())


def _from_content(content: bytes, dtype: tf.DType, count: int) -> np.ndarray:
    if dtype == tf.string:
        raise ValueError("strings belong in string_val")
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
