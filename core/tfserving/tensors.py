"""Tensors on the wire: TensorProto to and from numpy, with the one table of TensorFlow's types.

The functions take any message with TensorProto's fields, of core.protos as of TensorFlow itself. Field layout:
tensorflow/core/framework/tensor.proto and tensor.cc (Apache-2.0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from core.protos import prediction_service_pb2, tensor_pb2

Array = NDArray[Any]
Value = Array | Sequence[Any] | bytes | str | int | float | bool

# A proto may claim a shape and repeat one value into it: what was not sent is not made beyond this.
MAX_REPEATED_VALUES = 4_194_304


class InvalidResponseError(Exception):
    """The server's answer makes no sense; the text says what is wrong with it."""


@dataclass(frozen=True)
class DType:
    """One of TensorFlow's types as it travels."""

    enum: int
    name: str  # as TensorFlow's messages call it: float, int64, string
    # Of the same memory; half and bfloat16 as their 16 bits, which is how they travel. None for a string.
    numpy: np.dtype[Any] | None
    field: str  # the repeated field of TensorProto that holds the values


def _table() -> dict[int, DType]:
    rows: tuple[tuple[int, str | None, str], ...] = (
        (tensor_pb2.DT_FLOAT, "<f4", "float_val"),
        (tensor_pb2.DT_DOUBLE, "<f8", "double_val"),
        (tensor_pb2.DT_INT32, "<i4", "int_val"),
        (tensor_pb2.DT_UINT8, "u1", "int_val"),
        (tensor_pb2.DT_INT16, "<i2", "int_val"),
        (tensor_pb2.DT_INT8, "i1", "int_val"),
        (tensor_pb2.DT_STRING, None, "string_val"),
        (tensor_pb2.DT_COMPLEX64, "<c8", "scomplex_val"),
        (tensor_pb2.DT_INT64, "<i8", "int64_val"),
        (tensor_pb2.DT_BOOL, "?", "bool_val"),
        (tensor_pb2.DT_QINT8, "i1", "int_val"),
        (tensor_pb2.DT_QUINT8, "u1", "int_val"),
        (tensor_pb2.DT_QINT32, "<i4", "int_val"),
        (tensor_pb2.DT_BFLOAT16, "<u2", "half_val"),
        (tensor_pb2.DT_QINT16, "<i2", "int_val"),
        (tensor_pb2.DT_QUINT16, "<u2", "int_val"),
        (tensor_pb2.DT_UINT16, "<u2", "int_val"),
        (tensor_pb2.DT_COMPLEX128, "<c16", "dcomplex_val"),
        (tensor_pb2.DT_HALF, "<u2", "half_val"),
        (tensor_pb2.DT_UINT32, "<u4", "uint32_val"),
        (tensor_pb2.DT_UINT64, "<u8", "uint64_val"),
    )
    names = tensor_pb2.DataType.Name
    return {
        enum: DType(enum, names(enum)[3:].lower(), None if kind is None else np.dtype(kind), field)
        for enum, kind, field in rows
    }


DTYPES = _table()
# Types whose numpy type means something else: not chosen for an array.
_BY_MEANING_ONLY = {
    tensor_pb2.DT_BFLOAT16,
    tensor_pb2.DT_HALF,
    *(tensor_pb2.DT_QINT8, tensor_pb2.DT_QUINT8, tensor_pb2.DT_QINT16),
    *(tensor_pb2.DT_QUINT16, tensor_pb2.DT_QINT32),
}
_OF_NUMPY = {
    row.numpy: row for row in DTYPES.values() if row.numpy is not None and row.enum not in _BY_MEANING_ONLY
}


def dtype_of(array_type: np.dtype[Any]) -> DType:
    """Return TensorFlow's type for a numpy type. Raises TypeError if there is none."""
    row = _OF_NUMPY.get(array_type.newbyteorder("<"))
    if row is None:
        raise TypeError(f"no TensorFlow type for numpy's {array_type}")
    return row


def fill_proto(proto: Any, value: Value) -> None:
    """Write a value into an empty TensorProto.

    Bytes and text become strings, Python floats float32, Python integers int64; numpy arrays keep their type
    (float16 travels as its bits). Numeric values travel in tensor_content.

    Raises:
        TypeError: The array's type has no counterpart.
    """
    array = np.asarray(value)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.dtype.kind in "SUO":
        proto.dtype = tensor_pb2.DT_STRING
        # From the value, not from numpy's copy: numpy strips trailing zero bytes, which images may end with.
        proto.string_val.extend(one if isinstance(one, bytes) else str(one).encode() for one in _flat(value))
        return
    if not isinstance(value, np.ndarray) and array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype == np.float16:
        proto.dtype = tensor_pb2.DT_HALF
        proto.half_val.extend(array.view(np.uint16).ravel().tolist())
        return
    proto.dtype = dtype_of(array.dtype).enum
    proto.tensor_content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def to_proto(value: Value) -> tensor_pb2.TensorProto:
    """Return a TensorProto of a value; see fill_proto."""
    proto = tensor_pb2.TensorProto()
    fill_proto(proto, value)
    return proto


def _flat(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        return list(value.ravel())
    if isinstance(value, (list, tuple)):
        return [leaf for one in value for leaf in _flat(one)]
    return [value]


def from_proto(proto: Any) -> Array:
    """Return a TensorProto's array, in the shape it says: strings as an object array of bytes.

    A list shorter than the shape repeats its last value, as TensorFlow reads it.

    Raises:
        InvalidResponseError: The type cannot travel, or shape and values do not fit.
    """
    row = DTYPES.get(proto.dtype)
    if row is None:
        raise InvalidResponseError(f"a tensor of type {proto.dtype} cannot be read")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise InvalidResponseError(f"a tensor of shape {list(shape)} cannot be read")
    count = math.prod(shape)
    array = _values(proto, row)
    if array.size != count:
        if proto.tensor_content or array.size > count or count > MAX_REPEATED_VALUES:
            raise InvalidResponseError(f"{array.size} values for a tensor of shape {list(shape)}")
        fill = array[-1] if array.size else (b"" if row.numpy is None else row.numpy.type(0))
        whole = np.empty(count, array.dtype)
        whole[: array.size] = array
        whole[array.size :] = fill
        array = whole
    try:
        return array.reshape(shape)
    except ValueError as error:  # numpy holds 64 dimensions
        raise InvalidResponseError(f"a tensor of {len(shape)} dimensions: {error}") from None


def _values(proto: Any, row: DType) -> Array:
    if row.numpy is None:
        flat = np.empty(len(proto.string_val), dtype=object)
        flat[:] = list(proto.string_val)
        return flat
    if proto.tensor_content:
        if len(proto.tensor_content) % row.numpy.itemsize:
            raise InvalidResponseError(f"{len(proto.tensor_content)} bytes are not whole {row.name} values")
        array: Array = np.frombuffer(proto.tensor_content, dtype=row.numpy)
    elif row.numpy.kind == "c":
        parts = np.array(getattr(proto, row.field), dtype=f"<f{row.numpy.itemsize // 2}")
        array = parts[: parts.size // 2 * 2].view(row.numpy)
    else:
        # Through a wide type: a small one takes the low bits, as TensorFlow's cast does.
        wide = np.int64 if row.numpy.kind in "iu" and row.numpy.itemsize < 8 else row.numpy
        array = np.array(getattr(proto, row.field), dtype=wide).astype(row.numpy)
    return array.view(np.float16) if row.enum == tensor_pb2.DT_HALF else array


def numbers(proto: Any) -> NDArray[np.float64]:
    """Return the flat values of a real numeric tensor as float64. Raises InvalidResponseError for another one."""
    row = DTYPES.get(proto.dtype)
    if row is None or row.numpy is None or row.numpy.kind == "c" or row.enum == tensor_pb2.DT_BFLOAT16:
        name = row.name if row else str(proto.dtype)
        raise InvalidResponseError(f"a tensor of type {name} where a number belongs")
    return np.asarray(from_proto(proto), np.float64).ravel()


class RequestOptions(TypedDict, total=False):
    """What a PredictRequest may say beside its inputs; without version and label the server's latest is asked."""

    signature: str  # empty for serving_default
    version: int | None
    label: str | None
    outputs: Sequence[str]  # all if empty


def predict_request(
    model: str, inputs: Mapping[str, Value], **options: Unpack[RequestOptions]
) -> prediction_service_pb2.PredictRequest:
    """Return a PredictRequest of a value for each input of the signature."""
    request = prediction_service_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = options.get("signature", "")
    version, label = options.get("version"), options.get("label")
    if version is not None:
        request.model_spec.version.value = version
    elif label:
        request.model_spec.version_label = label
    for key, value in inputs.items():
        fill_proto(request.inputs[key], value)
    request.output_filter.extend(options.get("outputs", ()))
    return request
