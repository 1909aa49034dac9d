import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tf_tokenrl.client import codec, protos

ARRAYS = [
    np.float32([[1.5, -2.0], [np.inf, 3.0]]),
    np.float64([np.pi]),
    np.int8([-128, 127]),
    np.uint8([0, 255]),
    np.int16([-32768]),
    np.uint16([65535]),
    np.int32(7),
    np.int64([-(2**63), 2**63 - 1]),
    np.uint32([2**32 - 1]),
    np.uint64([2**64 - 1]),
    np.array([True, False]),
    np.float16([0.5, 65504.0]),
    np.array([0.5, -3.0], ml_dtypes.bfloat16),
    np.array([0.5, -3.0], ml_dtypes.float8_e4m3fn),
    np.array([0.5, -3.0], ml_dtypes.float8_e5m2),
    np.complex64([1 + 2j, -3j]),
    np.complex128([[1 + 2j]]),
    np.array([[b"a", b"\xff\x00"]], dtype=object),
    np.zeros([0, 3], np.float32),
    np.array([], dtype=object),
    np.arange(12, dtype=np.float32).reshape(3, 4).T,
]
each_array = pytest.mark.parametrize(
    "array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}"
)


def to_tensorflow(proto):
    return tensor_pb2.TensorProto.FromString(proto.SerializeToString())


def from_tensorflow(proto):
    return protos.TensorProto.FromString(proto.SerializeToString())


def same(left, right):
    assert left.dtype == right.dtype
    np.testing.assert_array_equal(left, right)


@each_array
def test_tensorflow_reads_what_we_write(array):
    proto = to_tensorflow(codec.encode(array))
    same(
        tf.io.parse_tensor(proto.SerializeToString(), proto.dtype).numpy(),
        array,
    )


@each_array
def test_we_read_what_tensorflow_writes(array):
    proto = tf.make_tensor_proto(array)
    same(codec.decode(from_tensorflow(proto)), array)


@each_array
def test_we_read_what_we_write(array):
    same(codec.decode(codec.encode(array)), array)


def test_big_endian_arrays_arrive_in_order():
    same(codec.decode(codec.encode(np.array([1, 2], ">i4"))), np.int32([1, 2]))


@pytest.mark.parametrize(
    "value",
    [["é", "b\0"], [b"\xc3\xa9", b"b\0"], np.array(["é", "b\0"], object)],
)
def test_text_travels_as_utf8(value):
    decoded = codec.decode(codec.encode(value))
    assert decoded.tolist() == ["é".encode(), b"b\0"]


def test_the_last_value_is_repeated():
    proto = protos.TensorProto(dtype=1, float_val=[1.0, 2.0])
    proto.tensor_shape.dim.add(size=4)
    assert codec.decode(proto).tolist() == [1.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "value", [[None], np.array(["2024"], "M8[D]"), np.array([3], object)]
)
def test_what_no_tensor_can_hold(value):
    with pytest.raises(TypeError, match="no tensor has"):
        codec.encode(value)


def test_a_type_unknown_here():
    with pytest.raises(ValueError, match="tensor type 20"):
        codec.decode(protos.TensorProto(dtype=20))


def test_types_have_the_names_of_tensorflow():
    for number in range(1, 31):
        if codec.name(number) != f"type {number}":
            assert codec.name(number) == tf.as_dtype(number).name
