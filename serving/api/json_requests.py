"""JSON bodies into requests, with the checks and the causes of tensorflow_serving/util/json_tensor.cc (2.19.1).

The parser is RapidJSON itself, as there: NaN and Infinity are read, the first of two equal keys counts, a number
beyond double is refused, and what follows the object is ignored.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import rapidjson

from core.protos import tensor_pb2
from core.tfserving.tensors import DTYPES
from serving.engine.signatures import DEFAULT_SIGNATURE
from serving.protos import Example
from serving.status import ServingError, invalid_argument, unimplemented

Infos = Mapping[str, Any]

_SIGNATURE, _INSTANCES, _INPUTS = "signature_name", "instances", "inputs"
_CONTEXT, _EXAMPLES = "context", "examples"
_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}
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
_AT = re.compile(r"Parse error at offset (\d+): (.*)", re.DOTALL)
_FOLLOWED = "The document root must not be followed by other values."
_TOO_DEEP = "JSON Parse error: nested too deeply"
_BASE64_SPACE = re.compile(r"[ \t\n\v\f\r]+")
# An error's text keeps the beginning of a value: TensorFlow Serving would send all of it back.
_MAX_TEXT = 4096


# --- parsing


def _first_counts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        members = dict(reversed(pairs))
        members = {name: members[name] for name, _ in pairs}
    return members


class _Decoder(rapidjson.Decoder):
    """RapidJSON with 64-bit integers, NaN and Infinity; of a key that comes twice the first counts."""

    def start_object(self) -> list[tuple[str, Any]]:
        """Collect an object's members in their order."""
        return []

    def end_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Make the object."""
        return _first_counts(pairs)


_DECODE = _Decoder(number_mode=rapidjson.NM_NATIVE | rapidjson.NM_NAN)


def parse(body: bytes | bytearray) -> dict[str, Any]:
    """Return the JSON object in `body`; bytes that are not UTF-8 come back as lone surrogates (surrogateescape).

    Raises:
        ServingError: INVALID_ARGUMENT `JSON Parse error: ... at offset: N`, or that it is not an object.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = _parse(body[3:] if body.startswith(b"\xef\xbb\xbf") else body)
    except RecursionError:
        raise invalid_argument(_TOO_DEEP) from None
    if not isinstance(document, dict):
        raise _format_error(document, "Is not object")
    return document


def _parse(body: bytes | bytearray) -> Any:
    try:
        return _DECODE(body)
    except UnicodeDecodeError:
        # RapidJSON hands such bytes on; the binding cannot make text of them.
        text = body.decode("utf-8", "surrogateescape")
        try:
            return json.JSONDecoder(object_pairs_hook=_first_counts).raw_decode(text.lstrip(" \t\r\n"))[0]
        except ValueError as error:
            raise invalid_argument(f"JSON Parse error: {error}") from None
    except rapidjson.JSONDecodeError as error:
        found = _AT.match(str(error))
        offset, text = (int(found[1]), found[2]) if found else (0, str(error))
        if text == _FOLLOWED:
            return _parse(body[:offset])
        raise invalid_argument(f"JSON Parse error: {text} at offset: {offset}") from None


def _type_name(value: Any) -> str:
    """RapidJSON's name of a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    names: dict[type[Any], str] = {dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _to_text(value: Any) -> str:
    """The beginning of a value as JSON, without writing the rest of it."""
    if isinstance(value, str):
        value = value[:_MAX_TEXT]
    parts: list[str] = []
    size = 0
    for part in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
        parts.append(part)
        size += len(part)
        if size > _MAX_TEXT:
            return "".join(parts)[:_MAX_TEXT] + "..."
    return "".join(parts)


def _format_error(value: Any, text: str) -> ServingError:
    return invalid_argument(f"JSON Value: {_to_text(value)} {text}")


def _type_error(value: Any, dtype: int) -> ServingError:
    return invalid_argument(
        f"JSON Value: {_to_text(value)} Type: {_type_name(value)} is not of expected type: {DTYPES[dtype].name}"
    )


# --- single values


def _is_base64(value: Any) -> bool:
    """Whether a value is exactly `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_object(value: Any) -> bool:
    """Whether a value is an object and not the base64 form of bytes."""
    return isinstance(value, dict) and not _is_base64(value)


def decode_base64(text: str) -> bytes:
    """Decode as absl::Base64Unescape does: white space anywhere, `=` or `.` as padding or none at all.

    Raises:
        ServingError: INVALID_ARGUMENT `Unable to base64 decode`.
    """
    try:
        if len(text) % 4 == 0:
            return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    text = _BASE64_SPACE.sub("", text)
    digits = text.rstrip("=.")
    padding = len(text) - len(digits)
    try:
        # Padding may be missing as a whole, not in part.
        if padding and (padding > 2 or len(text) % 4):
            raise ValueError
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_argument("Unable to base64 decode") from None


def _bytes_of(value: Any) -> bytes:
    if not _is_base64(value):
        raise invalid_argument(f"JSON Value: {_to_text(value)} not formatted correctly for base64 data")
    return decode_base64(value["b64"])


def _text_bytes(value: str) -> bytes:
    """Bytes of a string; what was not UTF-8 in the body is what it was."""
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


def _check_float(value: int | float) -> None:
    if _FLOAT_MAX < abs(value) < float("inf"):
        raise invalid_argument(
            f"Cannot convert JSON value: {_to_text(value)} to float without loss of precision."
        )


def _one_value(value: Any, dtype: int) -> Any:
    """AddValueToTensor."""
    kind = type(value)
    if dtype in _FLOATS:
        if kind not in (int, float):
            raise _type_error(value, dtype)
        if dtype == tensor_pb2.DT_FLOAT:
            _check_float(value)
        return value
    if dtype in _RANGES:
        low, high = _RANGES[dtype]
        if kind is not int or not low <= value <= high:
            raise _type_error(value, dtype)
        return value
    if dtype == tensor_pb2.DT_STRING:
        if kind is dict:
            return _bytes_of(value)
        if kind is not str:
            raise _type_error(value, dtype)
        return _text_bytes(value)
    if dtype == tensor_pb2.DT_BOOL:
        if kind is not bool:
            raise _type_error(value, dtype)
        return value
    name = DTYPES[dtype].name if dtype in DTYPES else str(dtype)
    raise unimplemented(f"Conversion of JSON Value: {_to_text(value)} to type: {name}")


# --- tensors


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
                f"JSON Value: {_to_text(value)} found at incorrect level: {level + 1} in the JSON DOM. "
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


class _FirstInstance:
    """What the first instance said of one named tensor; the others must say the same."""

    def __init__(self, dtype: int) -> None:
        self.dtype = dtype
        self.seen: tuple[int, list[int]] | None = None

    def check(self, value: Any) -> None:
        """AddInstanceItem."""
        shape = _dense_shape(value)
        count = len(_leaves(value, self.dtype, shape))
        if self.seen is None:
            self.seen = (count, shape)
        elif count != self.seen[0]:
            raise invalid_argument(f"Expecting tensor size: {self.seen[0]} but got: {count}")
        elif shape != self.seen[1]:
            raise invalid_argument(
                f"Expecting shape {_shape_text(self.seen[1])} but got: {_shape_text(shape)}"
            )


def _shape_text(shape: list[int]) -> str:
    return "[" + ",".join(str(size) for size in shape) + "]"


def _fill_instances(instances: list[Any], infos: Infos, inputs: Any) -> None:
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    names = sorted(infos)
    by_name = _is_object(instances[0])
    try:
        if not by_name and not any(map(_is_object, instances)):
            _fill(inputs[names[0]], infos[names[0]].dtype, instances)
            return
        if by_name and all(_is_object(one) and sorted(one) == names for one in instances):
            for name in names:
                _fill(inputs[name], infos[name].dtype, [one[name] for one in instances])
            return
    except ServingError as error:
        _explain(instances, infos, names, by_name)
        raise error from None
    _explain(instances, infos, names, by_name)
    raise invalid_argument("Failed to process 'instances' list")


def _explain(instances: list[Any], infos: Infos, names: list[str], by_name: bool) -> None:
    """Raise what is wrong with the first bad instance: FillTensorMapFromInstancesList, one by one."""
    first = {name: _FirstInstance(infos[name].dtype) for name in names}
    for i, one in enumerate(instances):
        if not by_name:
            if _is_object(one):
                raise invalid_argument(f"Expecting value/list but got object at item {i} of input list")
            try:
                first[names[0]].check(one)
            except ServingError as error:
                raise invalid_argument(
                    f"Failed to process element: {i} of 'instances' list. Error: {error.to_string()}"
                ) from None
            continue
        if not _is_object(one):
            raise invalid_argument(f"Expecting object but got list at item {i} of input list")
        for name, value in one.items():
            try:
                if name not in first:
                    raise invalid_argument(f"JSON object: does not have named input: {name}")
                first[name].check(value)
            except ServingError as error:
                raise invalid_argument(
                    f"Failed to process element: {i} key: {name} of 'instances' list. "
                    f"Error: {error.to_string()}"
                ) from None
        if sorted(one) != names:
            raise invalid_argument(
                f"Failed to process element: {i} of 'instances' list. JSON object: {_to_text(one)} "
                f"keys must be equal to: {','.join(names)}"
            )


def _fill_inputs(value: Any, infos: Infos, inputs: Any) -> None:
    if not _is_object(value):
        if len(infos) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        (name,) = infos
        _fill(inputs[name], infos[name].dtype, value)
        return
    for name in sorted(infos):
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        _fill(inputs[name], infos[name].dtype, value[name])


def _fill_signature(document: Mapping[str, Any], request: Any) -> None:
    if _SIGNATURE not in document:
        return
    name = document[_SIGNATURE]
    if not isinstance(name, str):
        raise _format_error(document, "not formatted correctly. 'signature_name' key must be a string value.")
    request.model_spec.signature_name = _name(name)


def inputs_of(signatures: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return the inputs of a signature (the default one for ""), by the signatures' names.

    Raises:
        ServingError: INVALID_ARGUMENT if there is no such signature.
    """
    key = name or DEFAULT_SIGNATURE
    if key not in signatures:
        raise invalid_argument(f'Serving signature name: "{key}" not found in signature def')
    return signatures[key]


def fill_predict(body: bytes | bytearray, infos_of: Callable[[str], Infos], request: Any) -> str:
    """Fill a PredictRequest.

    Args:
        body: The JSON text.
        infos_of: Returns the inputs (TensorInfo by name) of a signature.
        request: The PredictRequest.

    Returns:
        The format of the request and so of its reply: `row` or `column`.

    Raises:
        ServingError: INVALID_ARGUMENT, saying what is wrong where.
    """
    document = parse(body)
    try:
        return _fill_predict(document, infos_of, request)
    except RecursionError:
        raise invalid_argument(_TOO_DEEP) from None


def _fill_predict(document: Mapping[str, Any], infos_of: Callable[[str], Infos], request: Any) -> str:
    _fill_signature(document, request)
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
            raise _format_error(document, f"Expecting '{_INSTANCES}' to be an list/array")
        if not instances:
            raise _format_error(document, f"No values in '{_INSTANCES}' array")
        _fill_instances(instances, infos, request.inputs)
        return "row"
    if _INPUTS in document:
        _fill_inputs(document[_INPUTS], infos, request.inputs)
        return "column"
    raise invalid_argument("Missing 'inputs' or 'instances' key")


# --- examples


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
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {_type_name(value)}")
    if isinstance(value, bool):
        want("int64_list").append(int(value))
    elif isinstance(value, dict):
        want("bytes_list").append(_bytes_of(value))
    elif isinstance(value, str):
        want("bytes_list").append(_text_bytes(value))
    elif isinstance(value, float):
        values = want("float_list")
        _check_float(value)
        values.append(value)
    else:
        values = want("int64_list")
        if value >= 2**63:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        values.append(value)


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {_type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[_name(name)]
        feature.SetInParent()
        for one in content if isinstance(content, list) else [content]:
            _add_to_feature(one, name, feature)


def fill_examples(body: bytes | bytearray, request: Any) -> None:
    """Fill a ClassificationRequest or RegressionRequest.

    Raises:
        ServingError: INVALID_ARGUMENT, saying what is wrong where.
    """
    document = parse(body)
    try:
        _fill_examples(document, request)
    except RecursionError:
        raise invalid_argument(_TOO_DEEP) from None


def _fill_examples(document: Mapping[str, Any], request: Any) -> None:
    _fill_signature(document, request)
    context = _CONTEXT in document
    if context:
        _fill_example(document[_CONTEXT], request.input.example_list_with_context.context)
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
        _fill_example(one, example)
        target.examples.append(example)
