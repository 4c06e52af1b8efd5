"""TensorProto to and from TF_Tensor, with the parser and the field layout of TensorFlow itself."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable
from ctypes import byref, c_void_p
from typing import Any

import numpy as np

from core.protos import tensor_pb2
from core.tfserving.tensors import DTYPES, Array, to_proto
from serving.engine.capi import Buffer, Status, library
from serving.status import ServingError, internal, invalid_argument

_TSTRING_BYTES = 24
_SMALL_STRING_BYTES = 22  # held in the tstring itself
_REFERENCE = 100  # added to a type for a TF1 reference

# Types whose values lie packed in memory as they travel: their field's tag, so that a large tensor is one copy
# and not a Python object a number.
_PACKED_TAG: dict[int, bytes] = {
    tensor_pb2.DT_FLOAT: b"\x2a",  # field 5, length-delimited
    tensor_pb2.DT_DOUBLE: b"\x32",  # 6
    tensor_pb2.DT_COMPLEX64: b"\x4a",  # 9
    tensor_pb2.DT_BOOL: b"\x5a",  # 11
    tensor_pb2.DT_COMPLEX128: b"\x62",  # 12
}


def shape_text(shape: Iterable[int]) -> str:
    """Return a shape as TensorFlow's messages write it: `[2,3]`."""
    return "[" + ",".join(str(size) for size in shape) + "]"


def is_reference(dtype: int) -> bool:
    """Whether this is the type of a TF1 reference."""
    return dtype > _REFERENCE


class Tensor:
    """An owned TF_Tensor."""

    __slots__ = ("handle",)

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __del__(self) -> None:
        if self.handle:
            library().TF_DeleteTensor(self.handle)
            self.handle = 0

    @property
    def dtype(self) -> int:
        """The DataType enum value."""
        value: int = library().TF_TensorType(self.handle)
        return value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; () for a scalar."""
        api = library()
        return tuple(api.TF_Dim(self.handle, i) for i in range(api.TF_NumDims(self.handle)))

    @property
    def _is_empty(self) -> bool:
        # Parsed without elements a tensor has no buffer, and asking for the size of that ends the process.
        return 0 in self.shape

    def strings(self) -> list[bytes]:
        """The elements of a string tensor, in row-major order."""
        if self._is_empty:
            return []
        api = library()
        count = api.TF_TensorByteSize(self.handle) // _TSTRING_BYTES
        base = api.TF_TensorData(self.handle)
        out = []
        for i in range(count):
            at = base + i * _TSTRING_BYTES
            out.append(ctypes.string_at(api.TF_StringGetDataPointer(at), api.TF_StringGetSize(at)))
        return out

    def numpy(self) -> Array:
        """A copy of the values; strings as an object array, half and bfloat16 as their 16 bits."""
        dtype = self.dtype
        if dtype == tensor_pb2.DT_STRING:
            flat = np.empty(int(np.prod(self.shape, dtype=np.int64)), dtype=object)
            flat[:] = self.strings()
            return flat.reshape(self.shape)
        return np.frombuffer(self.raw(), dtype=_numpy(dtype)).reshape(self.shape)

    def raw(self) -> bytes:
        """The bytes of a numeric tensor."""
        if self._is_empty:
            return b""
        api = library()
        return ctypes.string_at(api.TF_TensorData(self.handle), api.TF_TensorByteSize(self.handle))


def from_proto(proto: Any, alias: str) -> Tensor:
    """Parse as Tensor::FromProto does: shorter value lists repeat their last element, surplus ones fail.

    Raises INVALID_ARGUMENT `tensor parsing error: ALIAS`, the text of predict_util.cc.
    """
    api = library()
    data = proto.SerializeToString()
    buffer = Buffer(ctypes.cast(ctypes.c_char_p(data), c_void_p), len(data), None)
    tensor = Tensor(api.TF_AllocateTensor(tensor_pb2.DT_FLOAT, None, 0, 4))
    with Status() as status:
        api.TF_TensorFromProto(byref(buffer), tensor.handle, status.handle)
        try:
            status.check()
        except ServingError as error:
            raise ServingError(error.code, f"tensor parsing error: {alias}") from None
    return tensor


def from_array(array: Array) -> Tensor:
    """A tensor from a numeric numpy array."""
    return from_proto(to_proto(array), "array")


def _numpy(dtype: int) -> np.dtype[Any]:
    row = DTYPES.get(dtype)
    if row is None or row.numpy is None:
        known = dtype in tensor_pb2.DataType.values()
        name = tensor_pb2.DataType.Name(dtype)[3:].lower() if known else f"unknown dtype enum ({dtype})"
        raise internal(f"an output of type {name} cannot be sent")
    return row.numpy


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fill_proto(tensor: Tensor, proto: Any, *, as_content: bool = False) -> None:
    """Write a tensor into an empty TensorProto, as Tensor::AsProtoField does (or AsProtoTensorContent)."""
    dtype = tensor.dtype
    proto.dtype = dtype
    proto.tensor_shape.SetInParent()
    for size in tensor.shape:
        proto.tensor_shape.dim.add().size = size
    if dtype == tensor_pb2.DT_STRING:
        proto.string_val.extend(tensor.strings())
        return
    numpy = _numpy(dtype)
    raw = tensor.raw()
    if as_content:
        proto.tensor_content = raw
    elif dtype in _PACKED_TAG:
        if raw:
            proto.MergeFromString(_PACKED_TAG[dtype] + _varint(len(raw)) + raw)
    else:
        getattr(proto, DTYPES[dtype].field).extend(np.frombuffer(raw, dtype=numpy).tolist())


# A proto may claim a shape and repeat one value into it: what is not sent must not be large.
MAX_REPEATED_BYTES = 64 << 20


def allocated_bytes(proto: Any) -> int:
    """Return how many bytes TensorFlow takes for a TensorProto, values that it repeats included."""
    elements = math.prod(max(0, dim.size) for dim in proto.tensor_shape.dim)
    if proto.dtype != tensor_pb2.DT_STRING:
        row = DTYPES.get(proto.dtype)
        return elements * (row.numpy.itemsize if row is not None and row.numpy is not None else 16)
    values = proto.string_val
    sent = sum(len(one) for one in values if len(one) > _SMALL_STRING_BYTES)
    last = len(values[-1]) if values else 0
    # TensorFlow repeats the last value, and each repetition is a copy.
    repeated = max(0, elements - len(values)) * (last if last > _SMALL_STRING_BYTES else 0)
    return elements * _TSTRING_BYTES + sent + repeated


def check_size(proto: Any, alias: str) -> int:
    """Refuse a tensor that says it is far larger than what was sent; return what it takes in bytes.

    Raises:
        ServingError: INVALID_ARGUMENT `tensor parsing error: ALIAS`, with sizes.
    """
    needed, sent = allocated_bytes(proto), proto.ByteSize()
    # A string of one byte travels in 3 and is held in 24.
    if needed > MAX_REPEATED_BYTES and needed > 16 * sent:
        raise invalid_argument(
            f"tensor parsing error: {alias} (its shape needs {needed} bytes, {sent} were sent)"
        )
    return needed
