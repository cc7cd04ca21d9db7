"""Our TensorProtos are TensorFlow's, in both directions; what does not fit is refused."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from muwnet_fer.serving import apis, tensors

ARRAYS = {
    "uint8": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "float32": np.linspace(-1, 1, 14, dtype=np.float32).reshape(2, 7),
    "int64": np.array([2**62, -1], np.int64),
    "bytes": np.array([b"\x00\x89PNG\x00", b""], object),
    "scalar": np.array(5, np.int64),
    "no rows": np.zeros((0, 48, 48), np.uint8),
    "not contiguous": np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, :, ::2],
    "big-endian": np.array([1, 2, 3], ">i8"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_tensorflow_reads_what_we_write_and_we_what_it_writes(name):
    array = ARRAYS[name]
    theirs = tensor_pb2.TensorProto.FromString(tensors.to_proto(array).SerializeToString())
    np.testing.assert_array_equal(tf.make_ndarray(theirs), array)
    native = array if array.dtype == object else array.astype(array.dtype.newbyteorder("="))
    written = tf.make_tensor_proto(native)
    ours = tensors.to_array(apis.TensorProto.FromString(written.SerializeToString()))
    np.testing.assert_array_equal(ours, array)
    assert ours.shape == array.shape


def test_values_in_typed_fields_are_read_and_the_last_is_repeated():
    proto = apis.TensorProto(dtype=tensors.UINT8, int_val=[1, 2, 3])
    proto.tensor_shape.dim.add(size=2)
    proto.tensor_shape.dim.add(size=3)
    theirs = tensor_pb2.TensorProto.FromString(proto.SerializeToString())
    expected = tf.make_ndarray(theirs)
    np.testing.assert_array_equal(tensors.to_array(proto), expected)
    assert tensors.to_array(proto).tolist() == [[1, 2, 3], [3, 3, 3]]


def make(shape, **values) -> apis.TensorProto:
    proto = apis.TensorProto(**values)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (make([1], dtype=2, double_val=[1.0]), "expected DT_FLOAT, .* got 2"),
        (make([2, -1], dtype=4), r"known shape .*, got \[2, -1\]"),
        (make([2**40, 2**40], dtype=4), "at most 16777216 elements"),
        (make([3], dtype=4, tensor_content=b"ab"), r"expected 3 bytes for shape \[3\], got 2"),
        (make([1], dtype=4, tensor_content=b"ab"), "expected 1 bytes"),
        (make([1], dtype=4, int_val=[1, 2]), "expected 1 values for the shape, got 2"),
        (make([1], dtype=7, string_val=[b"", b""]), "expected 1 values for the shape, got 2"),
        (make([2], dtype=7), "expected 2 values for the shape, got 0"),
        (make([1], dtype=4, int_val=[300]), "expected values of uint8, got .*300"),
        (make([1], dtype=4, int_val=[-1]), "expected values of uint8, got .*-1"),
    ],
)
def test_what_does_not_fit_is_refused(proto, message):
    with pytest.raises(tensors.TensorError, match=message):
        tensors.to_array(proto)


@pytest.mark.parametrize("array", [np.zeros(2), np.array(["text"]), np.zeros(1, np.int32)])
def test_other_dtypes_are_not_sent(array):
    with pytest.raises(tensors.TensorError, match=f"got {array.dtype}"):
        tensors.to_proto(array)
