"""Response tensors as JSON, laid out and with numbers written as TF Serving's PrettyWriter does (json_tensor.cc)."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from serving.engine.tensors import (
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
    Array,
    dtype_name,
)
from serving.engine.values import from_proto
from serving.status import invalid_argument

_BYTES_SUFFIX = "_bytes"
_INTEGERS = {DT_INT32, DT_INT16, DT_INT8, DT_UINT8, DT_INT64, DT_UINT32, DT_UINT64}
_INDENT = "    "


def decimal(value: float, *, double: bool = False) -> str:
    """WriteDecimal: six digits where they are enough, else 9 (float) or 17 (double); whole numbers keep `.0`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.6g}"
    if double:
        if float(text) != value:
            text = f"{value:.17g}"
    elif np.float32(text) != np.float32(value):
        text = f"{value:.9g}"
    return text if "." in text or "e" in text else text + ".0"


def quote(text: bytes | str) -> str:
    """A JSON string; bytes that are no UTF-8 stay as they are (surrogateescape)."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return json.dumps(text, ensure_ascii=False)


def _cell(dtype: int) -> Callable[[Any], str]:
    if dtype == DT_FLOAT:
        return decimal
    if dtype == DT_DOUBLE:
        return lambda value: decimal(value, double=True)
    if dtype in _INTEGERS:
        return str
    if dtype == DT_BOOL:
        return lambda value: "true" if value else "false"
    if dtype == DT_STRING:
        return quote
    raise invalid_argument(f"Failed to write JSON value for tensor type: {dtype_name(dtype)}")


class _Output:
    """One named tensor, its values as JSON texts on demand."""

    def __init__(self, name: str, proto: Any) -> None:
        self.shape = tuple(dim.size for dim in proto.tensor_shape.dim)
        self.values: Array = from_proto(proto)
        self.is_bytes = proto.dtype == DT_STRING and name.endswith(_BYTES_SUFFIX)
        self.cell = _cell(proto.dtype)

    def text(self, value: Any, indent: int | None) -> str:
        """One value; `indent` None for a single line."""
        if not self.is_bytes:
            return self.cell(value)
        encoded = f'"b64": "{base64.b64encode(value).decode()}"'
        # PrettyWriter keeps objects on lines of their own even inside single-line arrays.
        pad = _INDENT * ((indent or 0) + 1)
        return f"{{\n{pad}{encoded}\n{_INDENT * (indent or 0)}}}"

    def single_line(self, values: Any, depth: int, indent: int) -> str:
        """Nested arrays on one line."""
        if depth == 0:
            return self.text(values, indent)
        return "[" + ", ".join(self.single_line(one, depth - 1, indent + 1) for one in values) + "]"

    def many_lines(self, values: Any, depth: int, indent: int) -> str:
        """Nested arrays, each value on a line."""
        if depth == 0:
            return self.text(values, indent)
        if len(values) == 0:
            return "[]"
        pad = _INDENT * (indent + 1)
        inner = ",\n".join(pad + self.many_lines(one, depth - 1, indent + 1) for one in values)
        return f"[\n{inner}\n{_INDENT * indent}]"


def _outputs(tensors: Mapping[str, Any]) -> dict[str, _Output]:
    if not tensors:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    return {name: _Output(name, tensors[name]) for name in sorted(tensors)}


def row_format(tensors: Mapping[str, Any]) -> str:
    """`{"predictions": [...]}`: one element an instance.

    Raises:
        ServingError: INVALID_ARGUMENT where the outputs have no common batch dimension.
    """
    batch = 0
    for name in sorted(tensors):
        shape = tensors[name].tensor_shape.dim
        if not shape:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        size = shape[0].size
        if size < 1:
            raise invalid_argument(f"Tensor name: {name} has invalid batch size: {size}")
        if batch not in (0, size):
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {size} expecting: {batch}"
            )
        batch = size
    outputs = _outputs(tensors)
    columns = {name: one.values.tolist() for name, one in outputs.items()}
    if len(outputs) == 1:
        ((name, output),) = outputs.items()
        depth = len(output.shape) - 1
        rows = ", ".join(output.single_line(row, depth, 2) for row in columns[name])
        return f'{{\n    "predictions": [{rows}\n    ]\n}}'
    items = []
    for i in range(batch):
        members = ",\n".join(
            f"{_INDENT * 3}{quote(name)}: {output.single_line(columns[name][i], len(output.shape) - 1, 3)}"
            for name, output in outputs.items()
        )
        items.append(f"\n{_INDENT * 2}{{\n{members}\n{_INDENT * 2}}}")
    return f'{{\n    "predictions": [{",".join(items)}\n    ]\n}}'


def column_format(tensors: Mapping[str, Any]) -> str:
    """`{"outputs": ...}`: one array a named tensor, the array itself where there is only one."""
    outputs = _outputs(tensors)
    if len(outputs) == 1:
        ((_, output),) = outputs.items()
        return f'{{\n    "outputs": {output.many_lines(output.values.tolist(), len(output.shape), 1)}\n}}'
    members = ",\n".join(
        f"{_INDENT * 2}{quote(name)}: {output.many_lines(output.values.tolist(), len(output.shape), 2)}"
        for name, output in outputs.items()
    )
    return f'{{\n    "outputs": {{\n{members}\n    }}\n}}'


def classifications(result: Any) -> str:
    """`{"results": [[["label", score], ...], ...]}`."""
    if not result.classifications:
        raise invalid_argument("Cannot convert empty ClassificationResults to JSON")
    rows = ", ".join(
        "[" + ", ".join(f"[{quote(one.label)}, {decimal(one.score)}]" for one in row.classes) + "]"
        for row in result.classifications
    )
    return f'{{\n    "results": [{rows}\n    ]\n}}'


def regressions(result: Any) -> str:
    """`{"results": [value, ...]}`."""
    if not result.regressions:
        raise invalid_argument("Cannot convert empty RegressionResults to JSON")
    return f'{{\n    "results": [{", ".join(decimal(one.value) for one in result.regressions)}]\n}}'


def to_bytes(text: str) -> bytes:
    """A body: bytes that were no UTF-8 come out as they went in, what cannot be written becomes a question mark."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def error(message: str) -> str:
    """`{"error": "..."}`."""
    return f'{{\n    "error": {quote(message)}\n}}'
