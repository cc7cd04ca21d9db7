"""numpy arrays <-> TensorProto, for the dtypes that MuWNet's signatures know."""

import math

import numpy as np

from muwnet_fer.serving import apis

# TensorFlow's DataType numbers (tensorflow/core/framework/types.proto).
FLOAT, UINT8, STRING, INT64 = 1, 4, 7, 9

_DTYPES = {FLOAT: np.dtype("<f4"), UINT8: np.dtype("u1"), INT64: np.dtype("<i8")}
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}
_VALUE_FIELDS = {FLOAT: "float_val", UINT8: "int_val", INT64: "int64_val"}
# Elements: 7,281 faces. A tensor of one value repeated may be far larger than its message.
_LARGEST = 2**24


class TensorError(ValueError):
    """An array that cannot be sent, or a TensorProto that is none of ours."""


def to_proto(array: np.ndarray) -> apis.TensorProto:
    """Returns an array of float32, uint8, int64, or bytes (dtype object or S) as a TensorProto.

    Raises:
      TensorError: for another dtype.
    """
    proto = apis.TensorProto()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.dtype.kind in "OS":
        proto.dtype = STRING
        # ndarray.tolist() keeps bytes as they are; those of dtype S end at a zero byte anyway.
        proto.string_val.extend(array.ravel().tolist())
        return proto
    number = _NUMBERS.get(array.dtype.newbyteorder("<"))
    if number is None:
        raise TensorError(f"expected float32, uint8, int64 or bytes, got {array.dtype}")
    proto.dtype = number
    proto.tensor_content = np.ascontiguousarray(array, _DTYPES[number]).tobytes()
    return proto


def to_array(proto: apis.TensorProto) -> np.ndarray:
    """Returns a TensorProto as an array; of strings as one of dtype object, of bytes.

    Raises:
      TensorError: for another dtype, an unknown shape, and too few or too many values for it.
    """
    if proto.dtype != STRING and proto.dtype not in _DTYPES:
        raise TensorError(f"expected DT_FLOAT, DT_UINT8, DT_INT64 or DT_STRING, got {proto.dtype}")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    count = math.prod(shape)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0 or count > _LARGEST:
        raise TensorError(
            f"expected a tensor of known shape and at most {_LARGEST} elements, got {shape}"
        )
    if proto.dtype == STRING:
        _check_count(len(proto.string_val), count)
        values = np.array([*proto.string_val, None], object)[:-1]  # never an array of arrays
        return _fill(values, count).reshape(shape)
    dtype = _DTYPES[proto.dtype]
    if proto.tensor_content:
        if len(proto.tensor_content) != count * dtype.itemsize:
            raise TensorError(
                f"expected {count * dtype.itemsize} bytes for shape {shape}, got "
                f"{len(proto.tensor_content)}"
            )
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    repeated = getattr(proto, _VALUE_FIELDS[proto.dtype])
    _check_count(len(repeated), count)
    values = np.array(repeated)
    typed = values.astype(dtype)
    if proto.dtype != FLOAT and (typed != values).any():
        raise TensorError(f"expected values of {dtype}, got {values[typed != values][0]}")
    return _fill(typed, count).reshape(shape)


def _check_count(got: int, count: int) -> None:
    """Refuses too many values, and none: before an array takes many times their message's size."""
    if got > count or (got == 0 and count):
        raise TensorError(f"expected {count} values for the shape, got {got}")


def _fill(values: np.ndarray, count: int) -> np.ndarray:
    """Returns `count` values; the last one stands for all that are missing, as in TensorFlow."""
    if len(values) == count:
        return values
    return np.concatenate([values, np.repeat(values[-1:], count - len(values))])
