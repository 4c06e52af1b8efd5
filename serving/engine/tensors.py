"""TensorProto to and from TF_Tensor, with the parser and the field layout of TensorFlow itself."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_void_p
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.engine.capi import Buffer, Status, library
from serving.protos import DataType, TensorProto
from serving.status import ServingError, internal, invalid_argument

Array = npt.NDArray[Any]

DT_FLOAT, DT_DOUBLE, DT_INT32, DT_UINT8, DT_INT16, DT_INT8, DT_STRING = 1, 2, 3, 4, 5, 6, 7
DT_COMPLEX64, DT_INT64, DT_BOOL, DT_BFLOAT16, DT_UINT16, DT_COMPLEX128, DT_HALF = 8, 9, 10, 14, 17, 18, 19
DT_RESOURCE, DT_VARIANT, DT_UINT32, DT_UINT64 = 20, 21, 22, 23
DT_REF = 100  # added to a type for a TF1 reference

_TSTRING_BYTES = 24

# bfloat16 travels as its 16 bits, in half_val: no numpy type is needed for it.
_NUMPY: dict[int, np.dtype[Any]] = {
    DT_FLOAT: np.dtype(np.float32),
    DT_DOUBLE: np.dtype(np.float64),
    DT_INT32: np.dtype(np.int32),
    DT_UINT8: np.dtype(np.uint8),
    DT_INT16: np.dtype(np.int16),
    DT_INT8: np.dtype(np.int8),
    DT_COMPLEX64: np.dtype(np.complex64),
    DT_INT64: np.dtype(np.int64),
    DT_BOOL: np.dtype(np.bool_),
    DT_BFLOAT16: np.dtype(np.uint16),
    DT_UINT16: np.dtype(np.uint16),
    DT_COMPLEX128: np.dtype(np.complex128),
    DT_HALF: np.dtype(np.uint16),
    DT_UINT32: np.dtype(np.uint32),
    DT_UINT64: np.dtype(np.uint64),
}

# The repeated field of TensorProto that holds a type's values, and its tag where the values lie packed in memory
# as they travel (so that a large tensor is one copy, not a Python object a number).
_FIELD: dict[int, str] = {
    DT_FLOAT: "float_val",
    DT_DOUBLE: "double_val",
    DT_INT32: "int_val",
    DT_UINT8: "int_val",
    DT_INT16: "int_val",
    DT_INT8: "int_val",
    DT_COMPLEX64: "scomplex_val",
    DT_INT64: "int64_val",
    DT_BOOL: "bool_val",
    DT_BFLOAT16: "half_val",
    DT_UINT16: "int_val",
    DT_COMPLEX128: "dcomplex_val",
    DT_HALF: "half_val",
    DT_UINT32: "uint32_val",
    DT_UINT64: "uint64_val",
}
_PACKED_TAG: dict[int, bytes] = {
    DT_FLOAT: b"\x2a",  # field 5, length-delimited
    DT_DOUBLE: b"\x32",  # 6
    DT_COMPLEX64: b"\x4a",  # 9
    DT_BOOL: b"\x5a",  # 11
    DT_COMPLEX128: b"\x62",  # 12
}


def dtype_name(dtype: int) -> str:
    """A type as TensorFlow's messages call it: `float`, `int64`, `string`."""
    name: str = DataType.Name(dtype) if dtype in DataType.values() else f"unknown dtype enum ({dtype})"
    return name.removeprefix("DT_").lower() if name.startswith("DT_") else name


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
        if dtype == DT_STRING:
            flat = np.empty(int(np.prod(self.shape, dtype=np.int64)), dtype=object)
            flat[:] = self.strings()
            return flat.reshape(self.shape)
        if dtype not in _NUMPY:
            raise internal(f"an output of type {dtype_name(dtype)} cannot be sent")
        return np.frombuffer(self.raw(), dtype=_NUMPY[dtype]).reshape(self.shape)

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
    tensor = Tensor(api.TF_AllocateTensor(DT_FLOAT, None, 0, 4))
    with Status() as status:
        api.TF_TensorFromProto(byref(buffer), tensor.handle, status.handle)
        try:
            status.check()
        except ServingError as error:
            raise ServingError(error.code, f"tensor parsing error: {alias}") from None
    return tensor


def from_array(array: Array) -> Tensor:
    """A tensor from a numeric numpy array."""
    proto = TensorProto(dtype=_enum_of(array.dtype), tensor_content=np.ascontiguousarray(array).tobytes())
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    return from_proto(proto, "array")


def _enum_of(dtype: np.dtype[Any]) -> int:
    for enum, known in _NUMPY.items():
        if known == dtype and enum not in (DT_HALF, DT_BFLOAT16):
            return enum
    raise internal(f"no TensorFlow type for numpy {dtype}")


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
    if dtype == DT_STRING:
        proto.string_val.extend(tensor.strings())
        return
    if dtype not in _FIELD:
        raise internal(f"an output of type {dtype_name(dtype)} cannot be sent")
    raw = tensor.raw()
    if as_content:
        proto.tensor_content = raw
    elif dtype in _PACKED_TAG:
        if raw:
            proto.MergeFromString(_PACKED_TAG[dtype] + _varint(len(raw)) + raw)
    else:
        getattr(proto, _FIELD[dtype]).extend(np.frombuffer(raw, dtype=_NUMPY[dtype]).tolist())


# A proto may claim a shape and repeat one value into it: what is not sent must not be large.
MAX_REPEATED_BYTES = 256 << 20


def check_size(proto: Any, alias: str) -> None:
    """Refuse a tensor that says it is far larger than what was sent.

    Raises:
        ServingError: INVALID_ARGUMENT `tensor parsing error: ALIAS`, with sizes.
    """
    elements = 1
    for dim in proto.tensor_shape.dim:
        elements *= max(0, dim.size)
    width = (
        _TSTRING_BYTES if proto.dtype == DT_STRING else _NUMPY.get(proto.dtype, np.dtype(np.float64)).itemsize
    )
    if elements * width > MAX_REPEATED_BYTES and elements * width > 8 * proto.ByteSize():
        raise invalid_argument(
            f"tensor parsing error: {alias} (its shape needs {elements * width} bytes, {proto.ByteSize()} were sent)"
        )
