"""JSON bodies into requests, with the checks of tensorflow_serving/util/json_tensor.cc (2.19.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from serving.api.json_parser import (
    bounded_depth,
    bytes_of,
    format_error,
    is_object,
    parse,
    plain_name,
    text_bytes,
    type_name,
)
from serving.api.json_tensors import Dtypes, check_float, fill_inputs, fill_instances
from serving.engine.model import DEFAULT_SIGNATURE
from serving.protos import Example
from serving.status import invalid_argument

_SIGNATURE, _INSTANCES, _INPUTS = "signature_name", "instances", "inputs"
_CONTEXT, _EXAMPLES = "context", "examples"
_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def _fill_signature(document: Mapping[str, Any], request: Any) -> None:
    if _SIGNATURE not in document:
        return
    name = document[_SIGNATURE]
    if not isinstance(name, str):
        raise format_error(document, "not formatted correctly. 'signature_name' key must be a string value.")
    request.model_spec.signature_name = plain_name(name)


@bounded_depth()
def fill_predict(
    body: bytes | bytearray, signatures: Callable[[], Mapping[str, Dtypes]], request: Any
) -> str:
    """Fill a PredictRequest.

    Args:
        body: The JSON text.
        signatures: Returns the types of the inputs of each signature of the model.
        request: The PredictRequest.

    Returns:
        The format of the request and so of its reply: `row` or `column`.

    Raises:
        ServingError: INVALID_ARGUMENT, saying what is wrong where.
    """
    document = parse(body)
    _fill_signature(document, request)
    name = request.model_spec.signature_name
    dtypes = signatures().get(name or DEFAULT_SIGNATURE)
    if dtypes is None:
        raise invalid_argument(
            f'Serving signature name: "{name or DEFAULT_SIGNATURE}" not found in signature def'
        )
    if not dtypes:
        raise invalid_argument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    if _INSTANCES in document:
        if _INPUTS in document:
            raise format_error(
                document,
                f"Not formatted correctly expecting only one of '{_INPUTS}' or '{_INSTANCES}' keys to exist ",
            )
        instances = document[_INSTANCES]
        if not isinstance(instances, list):
            raise format_error(document, f"Expecting '{_INSTANCES}' to be an list/array")
        if not instances:
            raise format_error(document, f"No values in '{_INSTANCES}' array")
        fill_instances(instances, dtypes, request.inputs)
        return "row"
    if _INPUTS in document:
        fill_inputs(document[_INPUTS], dtypes, request.inputs)
        return "column"
    raise invalid_argument("Missing 'inputs' or 'instances' key")


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
        want("bytes_list").append(bytes_of(value))
    elif isinstance(value, str):
        want("bytes_list").append(text_bytes(value))
    elif isinstance(value, float):
        values = want("float_list")
        check_float(value)
        values.append(value)
    else:
        values = want("int64_list")
        if value >= 2**63:
            raise invalid_argument(f"Feature: {name} has uint64 element. Only int64 is supported.")
        values.append(value)


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value.items():
        feature = example.features.feature[plain_name(name)]
        feature.SetInParent()
        for one in content if isinstance(content, list) else [content]:
            _add_to_feature(one, name, feature)


@bounded_depth()
def fill_examples(body: bytes | bytearray, request: Any) -> None:
    """Fill a ClassificationRequest or RegressionRequest.

    Raises:
        ServingError: INVALID_ARGUMENT, saying what is wrong where.
    """
    document = parse(body)
    _fill_signature(document, request)
    context = _CONTEXT in document
    if context:
        _fill_example(document[_CONTEXT], request.input.example_list_with_context.context)
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
        _fill_example(one, example)
        target.examples.append(example)
