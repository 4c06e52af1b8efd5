"""JSON values into tensors' values, with the checks and the texts of tensorflow_serving/util/json_tensor.cc."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from typing import Any

import numpy as np

from serving.api.json_parser import to_text, type_name
from serving.engine.tensors import (
    DT_BOOL,
    DT_DOUBLE,
    DT_FLOAT,
    DT_INT8,
    DT_INT16,
    DT_INT32,
    DT_INT64,
    DT_STRING,
    DT_UINT8,
    DT_UINT32,
    DT_UINT64,
    dtype_name,
)
from serving.status import ServingError, invalid_argument, unimplemented

_INT32 = {DT_INT32, DT_INT16, DT_INT8, DT_UINT8}
_RANGES = {
    **dict.fromkeys(_INT32, (-(2**31), 2**31 - 1)),
    DT_INT64: (-(2**63), 2**63 - 1),
    DT_UINT32: (0, 2**32 - 1),
    DT_UINT64: (0, 2**64 - 1),
}
_FIELDS = {
    DT_FLOAT: "float_val",
    DT_DOUBLE: "double_val",
    **dict.fromkeys(_INT32, "int_val"),
    DT_STRING: "string_val",
    DT_INT64: "int64_val",
    DT_BOOL: "bool_val",
    DT_UINT32: "uint32_val",
    DT_UINT64: "uint64_val",
}
_FLOAT_DIGITS = {DT_FLOAT: 24, DT_DOUBLE: 53}
_FLOAT_MAX = float(np.finfo(np.float32).max)


def format_error(value: Any, text: str) -> ServingError:
    """INVALID_ARGUMENT that begins with the value as JSON."""
    return invalid_argument(f"JSON Value: {to_text(value)} {text}")


def type_error(value: Any, dtype: int) -> ServingError:
    """INVALID_ARGUMENT for a value of another type than `dtype`."""
    return invalid_argument(
        f"JSON Value: {to_text(value)} Type: {type_name(value)} is not of expected type: {dtype_name(dtype)}"
    )


def is_base64(value: Any) -> bool:
    """Whether a value is exactly `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def is_object(value: Any) -> bool:
    """Whether a value is an object and not the base64 form of bytes."""
    return isinstance(value, dict) and not is_base64(value)


def decode_base64(value: Any) -> bytes:
    """Bytes of `{"b64": "..."}`."""
    if not is_base64(value):
        raise invalid_argument(f"JSON Value: {to_text(value)} not formatted correctly for base64 data")
    text: str = value["b64"]
    try:
        if any(c.isspace() for c in text[:4]) or "\n" in text:
            text = "".join(text.split())
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None


def text_bytes(value: str) -> bytes:
    """Bytes of a string; what was no UTF-8 in the body is what it was."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise invalid_argument("JSON Parse error: The surrogate pair in string is invalid.") from None


def plain_name(text: str) -> str:
    """A name that a message can hold: valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid_argument("JSON Parse error: Invalid encoding in string.") from None
    return text


def is_lossless(value: int | float, dtype: int) -> bool:
    """Whether `dtype` holds the number as it is."""
    if isinstance(value, int):
        if -(2**63) <= value < 2**64:
            return abs(value) <= 2 ** _FLOAT_DIGITS[dtype] - 1
        value = float(value)
    if not math.isfinite(value) or dtype == DT_DOUBLE:
        return True
    return -_FLOAT_MAX <= value <= _FLOAT_MAX


def one_value(value: Any, dtype: int) -> Any:
    """AddValueToTensor."""
    kind = type(value)
    if dtype in _FLOAT_DIGITS:
        if kind not in (int, float):
            raise type_error(value, dtype)
        if not is_lossless(value, dtype):
            raise invalid_argument(
                f"Cannot convert JSON value: {to_text(value)} to {'float' if dtype == DT_FLOAT else 'double'} "
                "without loss of precision."
            )
        return float(value)
    if dtype in _RANGES:
        low, high = _RANGES[dtype]
        if kind is not int or not low <= value <= high:
            raise type_error(value, dtype)
        return value
    if dtype == DT_STRING:
        if kind is not str:
            raise type_error(value, dtype)
        return text_bytes(value)
    if dtype == DT_BOOL:
        if kind is not bool:
            raise type_error(value, dtype)
        return value
    raise unimplemented(f"Conversion of JSON Value: {to_text(value)} to type: {dtype_name(dtype)}")


def dense_shape(value: Any) -> list[int]:
    """Shape of a nested list, by its first elements."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _fill(value: Any, level: int, dtype: int, shape: list[int], out: list[Any]) -> None:
    """FillTensorProto, value by value: slow, and exact about what is wrong."""
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid_argument(
                f"JSON Value: {to_text(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        if isinstance(value, dict):
            if dtype != DT_STRING:
                raise type_error(value, dtype)
            out.append(decode_base64(value))
        else:
            out.append(one_value(value, dtype))
        return
    if level >= rank:
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for one in value:
        _fill(one, level + 1, dtype, shape, out)


def _fast_leaves(value: Any, shape: list[int], dtype: int) -> list[Any] | None:
    """The leaves of a regular, large numeric array, or None where only the slow way can tell."""
    leaves: Any = [value]
    for size in shape:
        if not all(type(one) is list and len(one) == size for one in leaves):
            return None
        leaves = list(itertools.chain.from_iterable(leaves))
    kinds = set(map(type, leaves))
    if dtype in _FLOAT_DIGITS:
        if not kinds <= {int, float}:
            return None
        array = np.array(leaves, dtype=np.float64) if kinds == {float} else None
        if array is None:
            return None
        if dtype == DT_FLOAT and bool(np.any(np.abs(array[np.isfinite(array)]) > _FLOAT_MAX)):
            return None
        return leaves
    if dtype in _RANGES and kinds == {int}:
        low, high = _RANGES[dtype]
        return leaves if low <= min(leaves) and max(leaves) <= high else None
    return None


def leaves_of(value: Any, dtype: int, shape: list[int]) -> list[Any]:
    """All values of a nested list, checked, in row-major order."""
    fast = _fast_leaves(value, shape, dtype) if shape else None
    if fast is not None:
        return fast
    out: list[Any] = []
    _fill(value, 0, dtype, shape, out)
    return out


def fill_tensor(proto: Any, dtype: int, shape: list[int], leaves: list[Any]) -> None:
    """Fill a TensorProto."""
    proto.dtype = dtype
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    if leaves:
        getattr(proto, _FIELDS[dtype]).extend(leaves)
