"""Tensors on the wire: encoded images in, a few scalars an image out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.protos import prediction_service_pb2 as serving
from core.protos import tensor_pb2 as tensors

IMAGE_BYTES = "image_bytes"
ZONES = ("low", "review", "refer")
MOST_VALUES = 4_194_304
NUMBERS: dict[int, np.dtype[Any]] = {
    tensors.DT_FLOAT: np.dtype("<f4"),
    tensors.DT_DOUBLE: np.dtype("<f8"),
    tensors.DT_INT32: np.dtype("<i4"),
    tensors.DT_INT64: np.dtype("<i8"),
    tensors.DT_UINT8: np.dtype("u1"),
    tensors.DT_BOOL: np.dtype("?"),
}


class AnswerError(Exception):
    """The server's answer makes no sense; the text says what is wrong with it."""


def request(images: Sequence[bytes], model: str, signature: str, label: str = "") -> serving.PredictRequest:
    """A Predict request."""
    made = serving.PredictRequest()
    made.model_spec.name = model
    made.model_spec.signature_name = signature
    if label:
        made.model_spec.version_label = label
    tensor = made.inputs[IMAGE_BYTES]
    tensor.dtype = tensors.DT_STRING
    tensor.tensor_shape.dim.add().size = len(images)
    tensor.string_val.extend(images)
    return made


def values(response: serving.PredictResponse, name: str, rows: int) -> NDArray[np.float64]:
    """One finite number a row. Raises AnswerError."""
    if name not in response.outputs:
        raise AnswerError(f"the answer has no {name}")
    found = numbers(response.outputs[name])
    if found.size != rows or not np.isfinite(found).all():
        raise AnswerError(f"{name} has {found.size} values for {rows} images, or one that is no number")
    return found


def texts(response: serving.PredictResponse, name: str, rows: int) -> list[str]:
    """One text a row. Raises AnswerError."""
    found = list(response.outputs[name].string_val) if name in response.outputs else []
    if len(found) != rows:
        raise AnswerError(f"{name} has {len(found)} values for {rows} images")
    return [value.decode("utf-8", "replace")[:64] for value in found]


def numbers(tensor: tensors.TensorProto) -> NDArray[np.float64]:
    """The flat values of a numeric tensor, whichever of TensorFlow's two encodings was used."""
    dtype = NUMBERS.get(tensor.dtype)
    if dtype is None:
        raise AnswerError(f"a tensor of type {tensor.dtype} where a number belongs")
    if tensor.tensor_content:
        if len(tensor.tensor_content) % dtype.itemsize:
            raise AnswerError(f"{len(tensor.tensor_content)} bytes are no whole {dtype} numbers")
        return np.asarray(np.frombuffer(tensor.tensor_content, dtype), np.float64)
    listed = tensor.float_val or tensor.double_val or tensor.int64_val or tensor.int_val or tensor.bool_val
    return np.asarray(list(listed), np.float64)


def picture(response: serving.PredictResponse) -> bytes | NDArray[np.float32] | None:
    """An explanation's picture: encoded bytes (an overlay before a bare map), else a [height, width] map."""
    names = sorted(response.outputs, key=lambda name: (name != "overlay", name))
    for name in names:
        tensor = response.outputs[name]
        if tensor.dtype == tensors.DT_STRING and len(tensor.string_val) == 1:
            value: bytes = tensor.string_val[0]
            if value.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff")):
                return value
    for name in names:
        tensor = response.outputs[name]
        shape = [dim.size for dim in tensor.tensor_shape.dim if dim.size != 1]
        if tensor.dtype == tensors.DT_FLOAT and len(shape) == 2 and 0 < shape[0] * shape[1] <= MOST_VALUES:
            found = numbers(tensor)
            if found.size == shape[0] * shape[1] and np.isfinite(found).all():
                return found.astype(np.float32).reshape(shape[0], shape[1])
    return None
