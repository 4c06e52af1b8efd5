"""JSON request bodies into request messages, with the checks and the texts of tensorflow_serving/util/json_tensor.cc."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from serving.json_parser import to_text, type_name
from serving.protos import Example
from serving.status import ServingError, invalid_argument, unimplemented
from serving.tensors import (
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

_SIGNATURE, _INSTANCES, _INPUTS, _CONTEXT, _EXAMPLES = (
    "signature_name",
    "instances",
    "inputs",
    "context",
    "examples",
)
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
Infos = Mapping[str, Any]


def _format_error(value: Any, text: str) -> ServingError:
    return invalid_argument(f"JSON Value: {to_text(value)} {text}")


def _type_error(value: Any, dtype: int) -> ServingError:
    return invalid_argument(
        f"JSON Value: {to_text(value)} Type: {type_name(value)} is not of expected type: {dtype_name(dtype)}"
    )


def is_base64(value: Any) -> bool:
    """Whether a value is exactly `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _decode_base64(value: Any) -> bytes:
    if not is_base64(value):
        raise invalid_argument(f"JSON Value: {to_text(value)} not formatted correctly for base64 data")
    text: str = value["b64"]
    try:
        if any(c.isspace() for c in text[:4]) or "\n" in text:
            text = "".join(text.split())
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None


def _text_bytes(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise invalid_argument("JSON Parse error: The surrogate pair in string is invalid.") from None


def _name(text: str) -> str:
    """A name that a message can hold: valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid_argument("JSON Parse error: Invalid encoding in string.") from None
    return text


def _is_lossless(value: int | float, dtype: int) -> bool:
    if isinstance(value, int):
        if -(2**63) <= value < 2**64:
            return abs(value) <= 2 ** _FLOAT_DIGITS[dtype] - 1
        value = float(value)
    if not math.isfinite(value) or dtype == DT_DOUBLE:
        return True
    return -_FLOAT_MAX <= value <= _FLOAT_MAX


def _one_value(value: Any, dtype: int) -> Any:
    """AddValueToTensor."""
    kind = type(value)
    if dtype in _FLOAT_DIGITS:
        if kind not in (int, float):
            raise _type_error(value, dtype)
        if not _is_lossless(value, dtype):
            raise invalid_argument(
                f"Cannot convert JSON value: {to_text(value)} to {'float' if dtype == DT_FLOAT else 'double'} "
                "without loss of precision."
            )
        return float(value)
    if dtype in _RANGES:
        low, high = _RANGES[dtype]
        if kind is not int or not low <= value <= high:
            raise _type_error(value, dtype)
        return value
    if dtype == DT_STRING:
        if kind is not str:
            raise _type_error(value, dtype)
        return _text_bytes(value)
    if dtype == DT_BOOL:
        if kind is not bool:
            raise _type_error(value, dtype)
        return value
    raise unimplemented(f"Conversion of JSON Value: {to_text(value)} to type: {dtype_name(dtype)}")


def _dense_shape(value: Any) -> list[int]:
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
                raise _type_error(value, dtype)
            out.append(_decode_base64(value))
        else:
            out.append(_one_value(value, dtype))
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


def _leaves(value: Any, dtype: int, shape: list[int]) -> list[Any]:
    fast = _fast_leaves(value, shape, dtype) if shape else None
    if fast is not None:
        return fast
    out: list[Any] = []
    _fill(value, 0, dtype, shape, out)
    return out


def _tensor(proto: Any, dtype: int, shape: list[int], leaves: list[Any]) -> None:
    proto.dtype = dtype
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    if leaves:
        getattr(proto, _FIELDS[dtype]).extend(leaves)


def fill_signature(document: Mapping[str, Any], request: Any) -> None:
    """Take over `signature_name`."""
    if _SIGNATURE not in document:
        return
    name = document[_SIGNATURE]
    if not isinstance(name, str):
        raise _format_error(document, "not formatted correctly. 'signature_name' key must be a string value.")
    request.model_spec.signature_name = _name(name)


def fill_predict(document: Mapping[str, Any], infos_of: Callable[[str], Infos], request: Any) -> str:
    """Fill a PredictRequest and return its format, `row` or `column`."""
    fill_signature(document, request)
    name = request.model_spec.signature_name
    infos = infos_of(name)
    if not infos:
        raise invalid_argument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    if _INSTANCES in document:
        if _INPUTS in document:
            raise _format_error(
                document,
                f"Not formatted correctly expecting only one of '{_INPUTS}' or '{_INSTANCES}' keys to exist ",
            )
        instances = document[_INSTANCES]
        if not isinstance(instances, list):
            raise _format_error(document, f"Excepting '{_INSTANCES}' to be an list/array")
        if not instances:
            raise _format_error(document, f"No values in '{_INSTANCES}' array")
        _fill_instances(instances, infos, request.inputs)
        return "row"
    if _INPUTS in document:
        _fill_inputs(document[_INPUTS], infos, request.inputs)
        return "column"
    raise invalid_argument("Missing 'inputs' or 'instances' key")


class _Collected:
    """One named tensor that instances add to, each with the size and shape of the first."""

    def __init__(self, dtype: int) -> None:
        self.dtype = dtype
        self.size = -1
        self.shape: list[int] = []
        self.leaves: list[Any] = []

    def add(self, value: Any) -> None:
        """AddInstanceItem."""
        shape = _dense_shape(value)
        leaves = _leaves(value, self.dtype, shape)
        if self.size < 0:
            self.size, self.shape = len(leaves), shape
        elif len(leaves) != self.size:
            raise invalid_argument(f"Expecting tensor size: {self.size} but got: {len(leaves)}")
        elif shape != self.shape:
            raise invalid_argument(f"Expecting shape {_shape_text(self.shape)} but got: {_shape_text(shape)}")
        self.leaves.extend(leaves)


def _shape_text(shape: list[int]) -> str:
    return "[" + ",".join(str(size) for size in shape) + "]"


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _fill_instances(instances: list[Any], infos: Infos, inputs: Any) -> None:
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    names = sorted(infos)
    collected: dict[str, _Collected] = {}

    def add(name: str, value: Any) -> None:
        if name not in infos:
            raise invalid_argument(f"JSON object: does not have named input: {name}")
        collected.setdefault(name, _Collected(infos[name].dtype)).add(value)

    by_name = _is_object(instances[0])
    for i, one in enumerate(instances):
        if not by_name:
            if _is_object(one):
                raise invalid_argument(f"Expecting value/list but got object at item {i} of input list")
            try:
                add(names[0], one)
            except ServingError as error:
                raise invalid_argument(
                    f"Failed to process element: {i} of 'instances' list. Error: {error.to_string()}"
                ) from None
            continue
        if not _is_object(one):
            raise invalid_argument(f"Expecting object but got list at item {i} of input list")
        for name, value in one.items():
            try:
                add(name, value)
            except ServingError as error:
                raise invalid_argument(
                    f"Failed to process element: {i} key: {name} of 'instances' list. Error: {error.to_string()}"
                ) from None
        if sorted(one) != names:
            raise invalid_argument(
                f"Failed to process element: {i} of 'instances' list. JSON object: {to_text(one)} must only have "
                f"keys: {','.join(names)}"
            )
    for name, tensor in collected.items():
        _tensor(inputs[name], tensor.dtype, [len(instances), *tensor.shape], tensor.leaves)


def _fill_inputs(value: Any, infos: Infos, inputs: Any) -> None:
    if not _is_object(value):
        if len(infos) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        (name,) = infos
        _one_input(value, infos[name].dtype, inputs[name])
        return
    for name in sorted(infos):
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        _one_input(value[name], infos[name].dtype, inputs[name])


def _one_input(value: Any, dtype: int, proto: Any) -> None:
    shape = _dense_shape(value)
    leaves = _leaves(value, dtype, shape)
    _tensor(proto, dtype, shape, leaves)


_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def _add_to_feature(value: Any, name: str, feature: Any) -> None:
    """AddValueToFeature: what an element is decides the list it goes to; one feature holds one kind."""
    kind = feature.WhichOneof("kind")

    def want(wanted: str) -> Any:
        if kind not in (None, wanted):
            raise invalid_argument(
                f"Unexpected element type in feature: {name} expecting type: {_KINDS.get(kind or '', 'UNKNOWN')}"
            )
        return getattr(feature, wanted).value

    if value is None or isinstance(value, list) or _is_object(value):
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")
    if isinstance(value, bool):
        want("int64_list").append(int(value))
    elif isinstance(value, dict):
        want("bytes_list").append(_decode_base64(value))
    elif isinstance(value, str):
        want("bytes_list").append(_text_bytes(value))
    elif isinstance(value, float) or not -(2**63) <= value < 2**64:
        values = want("float_list")
        if not _is_lossless(value, DT_FLOAT):
            raise invalid_argument(
                f"Cannot convert JSON value: {to_text(value)} to float without loss of precision."
            )
        values.append(value)
    else:
        values = want("int64_list")
        if value >= 2**63:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        values.append(value)


def _example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[_name(name)]
        feature.SetInParent()
        for one in content if isinstance(content, list) else [content]:
            _add_to_feature(one, name, feature)


def fill_examples(document: Mapping[str, Any], request: Any) -> None:
    """Fill a ClassificationRequest or RegressionRequest."""
    fill_signature(document, request)
    context = _CONTEXT in document
    if context:
        _example(document[_CONTEXT], request.input.example_list_with_context.context)
    if _EXAMPLES not in document:
        raise _format_error(
            document, f"When method is classify, key '{_EXAMPLES}' is expected and was not found"
        )
    examples = document[_EXAMPLES]
    if not isinstance(examples, list):
        raise _format_error(document, f"Expecting '{_EXAMPLES}' value to be an list/array")
    if not examples:
        raise _format_error(document, f"'{_EXAMPLES}' value is an empty array")
    target = request.input.example_list_with_context if context else request.input.example_list
    for one in examples:
        example = Example()
        _example(one, example)
        target.examples.append(example)
