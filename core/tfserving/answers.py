"""The model's answer to a photograph, read out of a Predict response and checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.features import ZONES, Zone
from core.protos import prediction_service_pb2, tensor_pb2
from core.tfserving.tensors import MAX_REPEATED_VALUES, InvalidResponseError, numbers

SIGNATURE = "serving_default"
EXPLAIN = "explain"
MAX_TEXT = 64


@dataclass(frozen=True)
class ModelAnswer:
    """The answer to one photograph; InvalidResponseError is raised for one that no model may give."""

    probability: float  # calibrated P(melanoma)
    decision: int  # 1 if the probability reached the threshold, the model's operating point
    threshold: float
    zone: Zone
    out_of_distribution: float  # how unlike the training images it is; larger is less alike
    model_version: str

    def __post_init__(self) -> None:
        for name, value in (("probability", self.probability), ("threshold", self.threshold)):
            if not (math.isfinite(value) and 0.0 <= value <= 1.0):
                raise InvalidResponseError(f"{name} is {value}, not between 0 and 1")
        if not math.isfinite(self.out_of_distribution):
            raise InvalidResponseError(f"out_of_distribution is {self.out_of_distribution}")
        if self.zone not in ZONES:
            raise InvalidResponseError(f"zone is {self.zone!r}, not one of {', '.join(ZONES)}")
        if self.decision not in (0, 1):
            raise InvalidResponseError(f"decision is {self.decision}, not 0 or 1")
        version = self.model_version
        if not version or len(version) > MAX_TEXT or not version.isprintable():
            raise InvalidResponseError(f"model_version is {version[:MAX_TEXT]!r}")


def read_answers(response: prediction_service_pb2.PredictResponse, rows: int) -> list[ModelAnswer]:
    """Return one answer for each of the request's images.

    The version is the one that the server names: the folder's name is what served, and the model's own word
    may be that of another copy. The model's word counts if the server names none.

    Raises:
        InvalidResponseError: An output is missing, or its values are not what a model may say.
    """
    probability = row_numbers(response, "probability", rows)
    decision = row_numbers(response, "decision", rows)
    threshold = row_numbers(response, "threshold", rows)
    distance = row_numbers(response, "out_of_distribution", rows)
    zones: list[Any] = row_texts(response, "zone", rows)
    version = int(response.model_spec.version.value)
    versions = [str(version)] * rows
    if not version and "model_version" in response.outputs:
        versions = row_texts(response, "model_version", rows)
    answers = []
    for i in range(rows):
        if decision[i] not in (0.0, 1.0):
            raise InvalidResponseError(f"decision is {decision[i]}, not 0 or 1")
        answers.append(
            ModelAnswer(
                float(probability[i]),
                int(decision[i]),
                float(threshold[i]),
                zones[i],
                float(distance[i]),
                versions[i],
            )
        )
    return answers


def row_numbers(
    response: prediction_service_pb2.PredictResponse, name: str, rows: int
) -> NDArray[np.float64]:
    """Return one finite number a row. Raises InvalidResponseError."""
    if name not in response.outputs:
        raise InvalidResponseError(f"the answer has no {name}")
    tensor = response.outputs[name]
    if not tensor.tensor_content and not any(field.name.endswith("_val") for field, _ in tensor.ListFields()):
        # TensorFlow would read zeros: a probability of 0 that nobody computed.
        raise InvalidResponseError(f"{name} has no value")
    found = numbers(tensor)
    if found.size != rows:
        raise InvalidResponseError(f"{name} has {found.size} values for {rows} images")
    if not np.isfinite(found).all():
        raise InvalidResponseError(f"{name} has a value that is not a number")
    return found


def row_texts(response: prediction_service_pb2.PredictResponse, name: str, rows: int) -> list[str]:
    """Return one text a row. Raises InvalidResponseError."""
    if name not in response.outputs:
        raise InvalidResponseError(f"the answer has no {name}")
    tensor = response.outputs[name]
    if tensor.dtype != tensor_pb2.DT_STRING or len(tensor.string_val) != rows:
        raise InvalidResponseError(f"{name} has {len(tensor.string_val)} texts for {rows} images")
    return [value.decode("utf-8", "replace") for value in tensor.string_val]


def read_explanation(
    response: prediction_service_pb2.PredictResponse,
) -> bytes | NDArray[np.float32] | None:
    """Return where the model looked, out of the answer of its `explain` signature. Raises InvalidResponseError.

    That is an encoded picture (an overlay before a bare map), else a [height, width] map, else None.
    """
    names = sorted(response.outputs, key=lambda name: (name != "overlay", name))
    for name in names:
        tensor = response.outputs[name]
        if tensor.dtype == tensor_pb2.DT_STRING and len(tensor.string_val) == 1:
            value: bytes = tensor.string_val[0]
            if value.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff")):
                return value
    for name in names:
        tensor = response.outputs[name]
        shape = [dim.size for dim in tensor.tensor_shape.dim if dim.size != 1]
        if (
            tensor.dtype == tensor_pb2.DT_FLOAT
            and len(shape) == 2
            and 0 < shape[0] * shape[1] <= MAX_REPEATED_VALUES
        ):
            found = numbers(tensor)
            if np.isfinite(found).all():
                return found.astype(np.float32).reshape(shape[0], shape[1])
    return None
