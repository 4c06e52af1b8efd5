"""Plain values to and from TensorProto, for clients: numpy arrays, numbers, text and bytes, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.engine.tensors import _NUMPY, DT_BFLOAT16, DT_HALF, DT_STRING, Array
from serving.protos import TensorProto, predict_pb2

Value = Array | Sequence[Any] | bytes | str | int | float | bool

_ENUM = {dtype: enum for enum, dtype in _NUMPY.items() if enum not in (DT_HALF, DT_BFLOAT16)}
_FIELD = {
    np.dtype(np.float32): "float_val",
    np.dtype(np.float64): "double_val",
    np.dtype(np.int32): "int_val",
    np.dtype(np.int64): "int64_val",
    np.dtype(np.bool_): "bool_val",
}


def to_proto(value: Value) -> Any:
    """A TensorProto of a value.

    Bytes and text become strings, Python floats float32, Python integers int64; numpy arrays keep their type
    (float16 travels as its bits). Numeric values travel in tensor_content.
    """
    array = np.asarray(value)
    proto = TensorProto()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.SetInParent()
    if array.dtype.kind in "SUO":
        proto.dtype = DT_STRING
        # From the value, not from numpy's copy: numpy strips trailing zero bytes, which images may end with.
        proto.string_val.extend(_as_bytes(one) for one in _flat(value))
        return proto
    if not isinstance(value, np.ndarray) and array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype == np.float16:
        proto.dtype, array = DT_HALF, array.view(np.uint16)
        proto.half_val.extend(array.ravel().tolist())
        return proto
    if array.dtype not in _ENUM:
        raise TypeError(f"no TensorFlow type for {array.dtype}")
    proto.dtype = _ENUM[array.dtype]
    proto.tensor_content = np.ascontiguousarray(array).tobytes()
    return proto


def _flat(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        return list(value.ravel())
    if isinstance(value, (list, tuple)):
        return [leaf for one in value for leaf in _flat(one)]
    return [value]


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def from_proto(proto: Any) -> Array:
    """The array of a TensorProto: strings as an object array of bytes."""
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.dtype == DT_STRING:
        flat = np.empty(len(proto.string_val), dtype=object)
        flat[:] = list(proto.string_val)
        return flat.reshape(shape)
    dtype = _NUMPY[proto.dtype]
    if proto.tensor_content:
        array = np.frombuffer(proto.tensor_content, dtype=dtype)
    elif proto.dtype in (DT_HALF, DT_BFLOAT16):
        array = np.array(proto.half_val, dtype=dtype)
    elif dtype.kind == "c":
        parts = proto.scomplex_val if dtype == np.complex64 else proto.dcomplex_val
        array = np.array(parts, dtype=np.float64).view(np.complex128).astype(dtype)
    else:
        name = _FIELD.get(dtype) or {"uint32": "uint32_val", "uint64": "uint64_val"}.get(
            dtype.name, "int_val"
        )
        array = np.array(getattr(proto, name), dtype=dtype)
    if proto.dtype == DT_HALF:
        array = array.view(np.float16)
    count = int(np.prod(shape, dtype=np.int64))
    if array.size and array.size < count:
        array = np.concatenate([array, np.repeat(array[-1:], count - array.size)])
    return array.reshape(shape)


def predict_request(
    name: str,
    inputs: Mapping[str, Value],
    *,
    signature: str = "",
    version: int | None = None,
    label: str | None = None,
    outputs: Sequence[str] = (),
) -> Any:
    """A PredictRequest."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    elif label is not None:
        request.model_spec.version_label = label
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(to_proto(value))
    request.output_filter.extend(outputs)
    return request
