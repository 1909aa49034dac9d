import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from tf_tokenrl.serving.rpc import wire

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
    np.complex64([1 + 2j, -3j]),
    np.complex128([[1 + 2j]]),
    np.array([[b"a", b"\xff\x00"]], dtype=object),
    np.zeros([0, 3], np.float32),
    np.array([], dtype=object),
]


def runtime_decode(proto):
    """What the C++ runtime makes of a proto."""
    return tf.io.parse_tensor(proto.SerializeToString(), proto.dtype).numpy()


def encoded(array):
    proto = TensorProto()
    wire.encode(array, proto)
    return proto


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_the_runtime_reads_what_we_write(array):
    proto = encoded(array)
    assert not proto.tensor_content
    assert proto.HasField("tensor_shape")
    np.testing.assert_array_equal(runtime_decode(proto), array)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_the_runtime_reads_what_we_write_as_bytes(array):
    proto = TensorProto()
    wire.encode(array, proto, as_content=True)
    fields = {field.name for field, _ in proto.ListFields()}
    assert fields <= {"dtype", "tensor_shape", "tensor_content"}
    np.testing.assert_array_equal(runtime_decode(proto), array)
    np.testing.assert_array_equal(wire.decode(proto), array)


def test_long_strings_as_bytes():
    array = np.array([b"a" * 127, b"b" * 128, b"c" * 70_000, b""], object)
    proto = TensorProto()
    wire.encode(array, proto, as_content=True)
    assert proto.tensor_content.startswith(b"\x7f\x80\x01\xf0\xa2\x04\x00aa")
    np.testing.assert_array_equal(runtime_decode(proto), array)
    np.testing.assert_array_equal(wire.decode(proto), array)


def test_a_small_message_cannot_fill_the_memory():
    proto = _with_dimension(2**36, dtype=1, float_val=[1])
    with pytest.raises(ValueError, match="not in the message"):
        wire.decode(proto)
    small = _with_dimension(2**20, dtype=1, float_val=[1])
    assert wire.decode(small).sum() == 2**20


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_we_read_what_tensorflow_writes(array):
    proto = tf.make_tensor_proto(array)
    decoded = wire.decode(proto)
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize(
    "proto",
    [
        TensorProto(dtype=1, float_val=[1, 2]),
        TensorProto(dtype=1, float_val=[1, 2, 3, 4, 5, 6]),
        TensorProto(dtype=1),
        TensorProto(dtype=7),
        TensorProto(dtype=7, string_val=[b"a"]),
        TensorProto(dtype=10, bool_val=[True]),
        TensorProto(dtype=14, half_val=[16256]),
        TensorProto(dtype=8, scomplex_val=[1, 2]),
        TensorProto(dtype=6, int_val=[300]),
    ],
    ids=lambda proto: str(proto).replace("\n", " "),
)
def test_too_few_and_too_many_values_are_read_as_the_runtime_does(proto):
    proto.tensor_shape.dim.add(size=4)
    ours, theirs = wire.decode(proto), runtime_decode(proto)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def _with_dimension(*sizes, **fields):
    proto = TensorProto(**fields)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        TensorProto(),
        TensorProto(dtype=99),
        TensorProto(dtype=20),
        _with_dimension(2**40, 2**40, dtype=1),
        _with_dimension(-1, dtype=1, float_val=[1]),
        _with_dimension(3, dtype=1, tensor_content=b"1234"),
        _with_dimension(1, dtype=1, tensor_content=b"123"),
        _with_dimension(1, dtype=7, tensor_content=b"123"),
        _with_dimension(2, dtype=7, tensor_content=b"\x01"),
        _with_dimension(1, dtype=7, tensor_content=b"\x80"),
        _with_dimension(1, dtype=7, tensor_content=b"\xff" * 20),
    ],
)
def test_malformed_protos_are_rejected(proto):
    with pytest.raises(ValueError):
        wire.decode(proto)


def test_a_shape_of_unknown_rank_is_rejected():
    proto = TensorProto(dtype=1, float_val=[1])
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(ValueError):
        wire.decode(proto)
