"""JSON values into TensorProtos, with the checks of tensorflow_serving/util/json_tensor.cc (2.19.1)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.protos import tensor_pb2
from core.tfserving.tensors import DTYPES
from serving.api.json_parser import bytes_of, is_object, text_bytes, to_text, type_name
from serving.engine.tensors import shape_text
from serving.status import ServingError, invalid_argument, unimplemented

# The type of each input of a signature.
Dtypes = Mapping[str, int]

_FLOATS = {tensor_pb2.DT_FLOAT, tensor_pb2.DT_DOUBLE}
_INT32 = {tensor_pb2.DT_INT32, tensor_pb2.DT_INT16, tensor_pb2.DT_INT8, tensor_pb2.DT_UINT8}
_RANGES: dict[int, tuple[int, int]] = {
    **dict.fromkeys(_INT32, (-(2**31), 2**31 - 1)),
    tensor_pb2.DT_INT64: (-(2**63), 2**63 - 1),
    tensor_pb2.DT_UINT32: (0, 2**32 - 1),
    tensor_pb2.DT_UINT64: (0, 2**64 - 1),
}
# The largest double that rounds to a finite float32.
_FLOAT_MAX = float(np.finfo(np.float32).max) * (1 + 2.0**-25)


def _type_error(value: Any, dtype: int) -> ServingError:
    return invalid_argument(
        f"JSON Value: {to_text(value)} Type: {type_name(value)} is not of expected type: {DTYPES[dtype].name}"
    )


def check_float(value: int | float) -> None:
    """Raise INVALID_ARGUMENT for a number beyond the largest float32."""
    if _FLOAT_MAX < abs(value) < float("inf"):
        raise invalid_argument(
            f"Cannot convert JSON value: {to_text(value)} to float without loss of precision."
        )


def _one_value(value: Any, dtype: int) -> Any:
    """AddValueToTensor."""
    kind = type(value)
    if dtype in _FLOATS:
        fits = kind in (int, float)
    elif dtype in _RANGES:
        low, high = _RANGES[dtype]
        fits = kind is int and low <= value <= high
    elif dtype == tensor_pb2.DT_STRING:
        fits = kind in (str, dict)
    elif dtype == tensor_pb2.DT_BOOL:
        fits = kind is bool
    else:
        name = DTYPES[dtype].name if dtype in DTYPES else str(dtype)
        raise unimplemented(f"Conversion of JSON Value: {to_text(value)} to type: {name}")
    if not fits:
        raise _type_error(value, dtype)
    if dtype == tensor_pb2.DT_FLOAT:
        check_float(value)
    if dtype == tensor_pb2.DT_STRING:
        return bytes_of(value) if kind is dict else text_bytes(value)
    return value


def _dense_shape(value: Any) -> list[int]:
    """Shape of a nested list, by its first elements."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _walk(value: Any, level: int, dtype: int, shape: list[int], out: list[Any]) -> None:
    """FillTensorProto, value by value: slow, and exact about what is wrong."""
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid_argument(
                f"JSON Value: {to_text(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        if isinstance(value, dict) and dtype != tensor_pb2.DT_STRING:
            raise _type_error(value, dtype)
        out.append(_one_value(value, dtype))
        return
    if level >= rank:
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for one in value:
        _walk(one, level + 1, dtype, shape, out)


def _fast_leaves(value: Any, shape: list[int], dtype: int) -> list[Any] | None:
    """The leaves of a regular array of plain numbers, or None if only the slow way can tell."""
    leaves: Any = [value]
    for size in shape:
        if not all(type(one) is list and len(one) == size for one in leaves):
            return None
        leaves = list(itertools.chain.from_iterable(leaves))
    kinds = set(map(type, leaves))
    if dtype == tensor_pb2.DT_DOUBLE and kinds <= {int, float}:
        return list(leaves)
    if dtype == tensor_pb2.DT_FLOAT and kinds <= {int, float}:
        within = np.abs(np.array(leaves, np.float64)) <= _FLOAT_MAX
        return leaves if bool(within.all()) else None
    if dtype in _RANGES and kinds == {int}:
        low, high = _RANGES[dtype]
        return leaves if low <= min(leaves) and max(leaves) <= high else None
    return None


def _leaves(value: Any, dtype: int, shape: list[int]) -> list[Any]:
    fast = _fast_leaves(value, shape, dtype)
    if fast is not None:
        return fast
    out: list[Any] = []
    _walk(value, 0, dtype, shape, out)
    return out


def _fill(proto: Any, dtype: int, value: Any) -> None:
    """Fill a TensorProto from a nested list, checked, in row-major order."""
    shape = _dense_shape(value)
    leaves = _leaves(value, dtype, shape)
    proto.dtype = dtype
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == tensor_pb2.DT_STRING:
        proto.string_val.extend(leaves)
    elif leaves:
        wide: Any = np.float64 if dtype in _FLOATS else np.uint64 if dtype == tensor_pb2.DT_UINT64 else None
        # Through the wide type: int8 takes the low bits of an int, as the cast in C++ does.
        array = np.array(leaves, wide).astype(DTYPES[dtype].numpy, copy=False)
        proto.tensor_content = array.tobytes()


def _check_item(name: str, value: Any, dtype: int, first: dict[str, tuple[int, list[int]]]) -> None:
    """AddInstanceItem: all instances have the size and shape of the first one, which is kept in `first`."""
    shape = _dense_shape(value)
    count = len(_leaves(value, dtype, shape))
    size, expected = first.setdefault(name, (count, shape))
    if count != size:
        raise invalid_argument(f"Expecting tensor size: {size} but got: {count}")
    if shape != expected:
        raise invalid_argument(f"Expecting shape {shape_text(expected)} but got: {shape_text(shape)}")


def fill_instances(instances: list[Any], dtypes: Dtypes, inputs: Any) -> None:
    """Fill the inputs from `instances`, one row each. Raises INVALID_ARGUMENT naming the first bad one."""
    if not isinstance(instances[0], dict) and len(dtypes) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    names = sorted(dtypes)
    by_name = is_object(instances[0])
    try:
        if any(is_object(one) is not by_name or (by_name and sorted(one) != names) for one in instances):
            raise invalid_argument("Failed to process 'instances' list")
        for name in names if by_name else names[:1]:
            _fill(inputs[name], dtypes[name], [one[name] for one in instances] if by_name else instances)
    except ServingError:
        _explain(instances, dtypes, names, by_name)
        raise


def _explain(instances: list[Any], dtypes: Dtypes, names: list[str], by_name: bool) -> None:
    """Raise what is wrong with the first bad instance: FillTensorMapFromInstancesList, one by one."""
    first: dict[str, tuple[int, list[int]]] = {}
    wanted, other = ("object", "list") if by_name else ("value/list", "object")
    for i, one in enumerate(instances):
        if is_object(one) is not by_name:
            raise invalid_argument(f"Expecting {wanted} but got {other} at item {i} of input list")
        for name, value in (one if by_name else {names[0]: one}).items():
            try:
                if name not in dtypes:
                    raise invalid_argument(f"JSON object: does not have named input: {name}")
                _check_item(name, value, dtypes[name], first)
            except ServingError as error:
                key = f" key: {name}" if by_name else ""
                raise invalid_argument(
                    f"Failed to process element: {i}{key} of 'instances' list. Error: {error.to_string()}"
                ) from None
        if by_name and sorted(one) != names:
            raise invalid_argument(
                f"Failed to process element: {i} of 'instances' list. JSON object: {to_text(one)} "
                f"keys must be equal to: {','.join(names)}"
            )


def fill_inputs(value: Any, dtypes: Dtypes, inputs: Any) -> None:
    """Fill the inputs from `inputs`, whole tensors. Raises INVALID_ARGUMENT saying what is wrong."""
    if not is_object(value):
        if len(dtypes) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        (name,) = dtypes
        _fill(inputs[name], dtypes[name], value)
        return
    for name in sorted(dtypes):
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        _fill(inputs[name], dtypes[name], value[name])
