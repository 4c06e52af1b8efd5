"""Tensors on the wire: one JPEG in, a handful of scalars out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.protos import prediction_service_pb2 as serving
from core.protos import tensor_pb2 as tensors
from edge.answer import Answer, InvalidResponseError, checked

IMAGE_BYTES = "image_bytes"
MOST_VALUES = 4_194_304
NUMBERS: dict[int, np.dtype[Any]] = {
    tensors.DT_FLOAT: np.dtype("<f4"),
    tensors.DT_DOUBLE: np.dtype("<f8"),
    tensors.DT_INT32: np.dtype("<i4"),
    tensors.DT_INT64: np.dtype("<i8"),
    tensors.DT_UINT8: np.dtype("u1"),
    tensors.DT_BOOL: np.dtype("?"),
}


def image_request(jpeg: bytes, model: str, signature: str, label: str = "") -> serving.PredictRequest:
    """A Predict request for one picture."""
    request = serving.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if label:
        request.model_spec.version_label = label
    tensor = request.inputs[IMAGE_BYTES]
    tensor.dtype = tensors.DT_STRING
    tensor.tensor_shape.dim.add().size = 1
    tensor.string_val.append(jpeg)
    return request


def read_answer(response: serving.PredictResponse) -> Answer:
    """The answer in a reply to one picture; InvalidResponseError says what is missing or wrong."""
    version = _text(response, "model_version") if "model_version" in response.outputs else ""
    return checked(
        probability=_number(response, "probability"),
        decision=int(_number(response, "decision")),
        threshold=_number(response, "threshold"),
        zone=_text(response, "zone"),
        out_of_distribution=_number(response, "out_of_distribution"),
        model_version=version or str(response.model_spec.version.value),
        origin="server",
    )


def read_picture(response: serving.PredictResponse) -> bytes | npt.NDArray[np.float32] | None:
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
            values = numbers(tensor)
            if values.size == shape[0] * shape[1] and np.isfinite(values).all():
                return values.astype(np.float32).reshape(shape[0], shape[1])
    return None


def numbers(tensor: tensors.TensorProto) -> npt.NDArray[np.float64]:
    """The flat values of a numeric tensor, whichever of TensorFlow's two encodings was used."""
    dtype = NUMBERS.get(tensor.dtype)
    if dtype is None:
        raise InvalidResponseError(f"a tensor of type {tensor.dtype} where a number belongs")
    if tensor.tensor_content:
        if len(tensor.tensor_content) % dtype.itemsize:
            raise InvalidResponseError(f"{len(tensor.tensor_content)} bytes are no whole {dtype} numbers")
        return np.asarray(np.frombuffer(tensor.tensor_content, dtype), np.float64)
    listed = tensor.float_val or tensor.double_val or tensor.int64_val or tensor.int_val or tensor.bool_val
    return np.asarray(list(listed), np.float64)


def _number(response: serving.PredictResponse, name: str) -> float:
    if name not in response.outputs:
        raise InvalidResponseError(f"the answer has no {name}")
    values = numbers(response.outputs[name])
    if values.size != 1:
        raise InvalidResponseError(f"{name} has {values.size} values for one picture")
    value = float(values[0])
    if name == "decision" and value not in (0.0, 1.0):
        raise InvalidResponseError(f"decision is {value}, not 0 or 1")
    return value


def _text(response: serving.PredictResponse, name: str) -> str:
    if name not in response.outputs:
        raise InvalidResponseError(f"the answer has no {name}")
    tensor = response.outputs[name]
    if tensor.dtype != tensors.DT_STRING or len(tensor.string_val) != 1:
        raise InvalidResponseError(f"{name} is not one text")
    value: bytes = tensor.string_val[0]
    return value.decode("utf-8", "replace")
