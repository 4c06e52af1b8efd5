"""JSON bodies into PredictRequests, with the checks and the texts of tensorflow_serving/util/json_tensor.cc."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from serving.api.json_parser import to_text
from serving.api.json_values import (
    dense_shape,
    fill_tensor,
    format_error,
    is_object,
    leaves_of,
    plain_name,
)
from serving.status import ServingError, invalid_argument

_SIGNATURE, _INSTANCES, _INPUTS = "signature_name", "instances", "inputs"
Infos = Mapping[str, Any]


def fill_signature(document: Mapping[str, Any], request: Any) -> None:
    """Take over `signature_name`."""
    if _SIGNATURE not in document:
        return
    name = document[_SIGNATURE]
    if not isinstance(name, str):
        raise format_error(document, "not formatted correctly. 'signature_name' key must be a string value.")
    request.model_spec.signature_name = plain_name(name)


def fill_predict(document: Mapping[str, Any], infos_of: Callable[[str], Infos], request: Any) -> str:
    """Fill a PredictRequest and return its format, `row` or `column`."""
    fill_signature(document, request)
    name = request.model_spec.signature_name
    infos = infos_of(name)
    if not infos:
        raise invalid_argument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    if _INSTANCES in document:
        if _INPUTS in document:
            raise format_error(
                document,
                f"Not formatted correctly expecting only one of '{_INPUTS}' or '{_INSTANCES}' keys to exist ",
            )
        instances = document[_INSTANCES]
        if not isinstance(instances, list):
            raise format_error(document, f"Excepting '{_INSTANCES}' to be an list/array")
        if not instances:
            raise format_error(document, f"No values in '{_INSTANCES}' array")
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
        shape = dense_shape(value)
        leaves = leaves_of(value, self.dtype, shape)
        if self.size < 0:
            self.size, self.shape = len(leaves), shape
        elif len(leaves) != self.size:
            raise invalid_argument(f"Expecting tensor size: {self.size} but got: {len(leaves)}")
        elif shape != self.shape:
            raise invalid_argument(f"Expecting shape {_shape_text(self.shape)} but got: {_shape_text(shape)}")
        self.leaves.extend(leaves)


def _shape_text(shape: list[int]) -> str:
    return "[" + ",".join(str(size) for size in shape) + "]"


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

    by_name = is_object(instances[0])
    for i, one in enumerate(instances):
        if not by_name:
            if is_object(one):
                raise invalid_argument(f"Expecting value/list but got object at item {i} of input list")
            try:
                add(names[0], one)
            except ServingError as error:
                raise invalid_argument(
                    f"Failed to process element: {i} of 'instances' list. Error: {error.to_string()}"
                ) from None
            continue
        if not is_object(one):
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
        fill_tensor(inputs[name], tensor.dtype, [len(instances), *tensor.shape], tensor.leaves)


def _fill_inputs(value: Any, infos: Infos, inputs: Any) -> None:
    if not is_object(value):
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
    shape = dense_shape(value)
    leaves = leaves_of(value, dtype, shape)
    fill_tensor(proto, dtype, shape, leaves)
