"""Response tensors as JSON: the values and the structure of tensorflow_serving/util/json_tensor.cc (2.19.1).

orjson writes the numbers from numpy's memory. What it cannot write (NaN and Infinity, bytes that are not UTF-8,
more than 254 dimensions) the standard library does. White space is not TensorFlow Serving's.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from core.protos import tensor_pb2
from core.tfserving.tensors import DTYPES
from serving.status import invalid_argument

_BYTES_SUFFIX = "_bytes"
_WRITTEN = {
    *(tensor_pb2.DT_FLOAT, tensor_pb2.DT_DOUBLE, tensor_pb2.DT_STRING, tensor_pb2.DT_BOOL),
    *(tensor_pb2.DT_INT8, tensor_pb2.DT_INT16, tensor_pb2.DT_INT32, tensor_pb2.DT_INT64),
    *(tensor_pb2.DT_UINT8, tensor_pb2.DT_UINT32, tensor_pb2.DT_UINT64),
}


def dumps(document: Any, *, finite: bool = True) -> bytes:
    """Write a document that may hold text with escaped bytes, and NaN or Infinity unless it is `finite`."""
    if finite:  # orjson writes null for the others
        try:
            return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError:
            pass
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=_plain)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def error(message: str) -> bytes:
    """`{"error": "..."}`."""
    return dumps({"error": message})


def _plain(value: Any) -> Any:
    """Python's values; float32 as doubles with the same shortest digits, not with those of the double."""
    return (value.astype(str).astype(np.float64) if value.dtype == np.float32 else value).tolist()


def _values(name: str, proto: Any) -> tuple[Any, bool]:
    """A tensor as an array, or as nested lists if there is no array of it; and whether all of it is finite."""
    row = DTYPES.get(proto.dtype)
    if row is None or row.enum not in _WRITTEN:
        raise invalid_argument(
            f"Failed to write JSON value for tensor type: {row.name if row else proto.dtype}"
        )
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if row.numpy is None:
        is_bytes = name.endswith(_BYTES_SUFFIX)
        return _nested([_cell(one, is_bytes) for one in proto.string_val], shape), True
    if proto.tensor_content:
        flat: Any = np.frombuffer(proto.tensor_content, row.numpy)
    else:
        flat = np.array(getattr(proto, row.field), dtype=row.numpy)
    finite = row.numpy.kind != "f" or bool(np.isfinite(flat).all())
    if len(shape) > 64:  # more than numpy holds
        return _nested(_plain(flat), shape), finite
    return (flat.reshape(shape) if shape else flat[0]), finite


def _cell(value: bytes, is_bytes: bool) -> Any:
    if is_bytes:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode("utf-8", "surrogateescape")


def _nested(flat: list[Any], shape: list[int]) -> Any:
    """Nested lists of any number of dimensions."""
    if not shape:
        return flat[0]
    if 0 in shape:  # an empty list for each place of the dimensions before it
        for size in reversed(shape[: shape.index(0)]):
            flat = [flat] * size
        return flat
    for size in reversed(shape[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat


def row_format(tensors: Mapping[str, Any]) -> bytes:
    """`{"predictions": [...]}`: one element an instance.

    Raises:
        ServingError: INVALID_ARGUMENT if the outputs have no common batch dimension.
    """
    batch = -1
    for name in sorted(tensors):
        shape = tensors[name].tensor_shape.dim
        if not shape:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if batch not in (-1, shape[0].size):
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {shape[0].size} expecting: {batch}"
            )
        batch = shape[0].size
    columns, finite = _columns(tensors)
    if len(columns) == 1:
        return dumps({"predictions": next(iter(columns.values()))}, finite=finite)
    rows = [{name: column[i] for name, column in columns.items()} for i in range(batch)]
    return dumps({"predictions": rows}, finite=finite)


def column_format(tensors: Mapping[str, Any]) -> bytes:
    """`{"outputs": ...}`: one array a named tensor, the array itself if there is only one."""
    columns, finite = _columns(tensors)
    outputs = next(iter(columns.values())) if len(columns) == 1 else columns
    return dumps({"outputs": outputs}, finite=finite)


def _columns(tensors: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    if not tensors:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    found = {name: _values(name, tensors[name]) for name in sorted(tensors)}
    return {name: value for name, (value, _) in found.items()}, all(one for _, one in found.values())


def classifications(result: Any) -> bytes:
    """`{"results": [[["label", score], ...], ...]}`."""
    if not result.classifications:
        raise invalid_argument("Cannot convert empty ClassificationResults to JSON")
    rows = [[[one.label, np.float32(one.score)] for one in row.classes] for row in result.classifications]
    scores = [one.score for row in result.classifications for one in row.classes]
    return dumps({"results": rows}, finite=all(map(math.isfinite, scores)))


def regressions(result: Any) -> bytes:
    """`{"results": [value, ...]}`."""
    if not result.regressions:
        raise invalid_argument("Cannot convert empty RegressionResults to JSON")
    values = [one.value for one in result.regressions]
    return dumps({"results": np.array(values, np.float32)}, finite=all(map(math.isfinite, values)))
