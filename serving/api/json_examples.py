"""JSON bodies into Examples, with the checks and the texts of tensorflow_serving/util/json_tensor.cc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.api.json_parser import to_text, type_name
from serving.api.json_tensors import fill_signature
from serving.api.json_values import (
    decode_base64,
    format_error,
    is_lossless,
    is_object,
    plain_name,
    text_bytes,
)
from serving.engine.tensors import (
    DT_FLOAT,
)
from serving.protos import Example
from serving.status import invalid_argument

_CONTEXT, _EXAMPLES = "context", "examples"
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

    if value is None or isinstance(value, list) or is_object(value):
        raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")
    if isinstance(value, bool):
        want("int64_list").append(int(value))
    elif isinstance(value, dict):
        want("bytes_list").append(decode_base64(value))
    elif isinstance(value, str):
        want("bytes_list").append(text_bytes(value))
    elif isinstance(value, float) or not -(2**63) <= value < 2**64:
        values = want("float_list")
        if not is_lossless(value, DT_FLOAT):
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
        feature = example.features.feature[plain_name(name)]
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
        raise format_error(
            document, f"When method is classify, key '{_EXAMPLES}' is expected and was not found"
        )
    examples = document[_EXAMPLES]
    if not isinstance(examples, list):
        raise format_error(document, f"Expecting '{_EXAMPLES}' value to be an list/array")
    if not examples:
        raise format_error(document, f"'{_EXAMPLES}' value is an empty array")
    target = request.input.example_list_with_context if context else request.input.example_list
    for one in examples:
        example = Example()
        _example(one, example)
        target.examples.append(example)
