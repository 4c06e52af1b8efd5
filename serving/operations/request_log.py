"""Prediction records: one JSON line an image, written by a thread of its own, never waited for.

The line's form is `schemas/prediction_record.schema.json`. A full queue or a failing disk loses records, which are
counted, and never slows an answer.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import math
import queue
import random
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from core.features import IMAGE_BYTES
from core.images.header import HeaderError, read_header
from core.images.statistics import measure, reduced
from core.protos.tensor_pb2 import DT_STRING
from core.records.prediction import FILE_NAME, record_prediction
from core.records.times import of_seconds
from core.tfserving.tensors import Array, from_proto
from serving.engine.model import Model
from serving.operations.limits import Caller
from serving.operations.metrics import Metrics
from serving.options import Options

log = logging.getLogger(__name__)

# A record describes images. Requests with thousands of rows, or rows of thousands of numbers, are not images.
MAX_ROWS = 256
MAX_VALUES = 64
_CLOSE_SECONDS = 10.0


class RequestLog:
    """Takes requests with their answers and writes records."""

    def __init__(self, folder: Path, options: Options, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._queue: queue.Queue[tuple[float, Any, Any, Caller, int, float] | None] = queue.Queue(
            options.request_log_queue
        )
        self._file: IO[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def record(self, model: Model, request: Any, response: Any, caller: Caller, seconds: float) -> None:
        """Put a request into the queue, if it is sampled and there is room."""
        sample = self._options.request_log_sample
        if sample < 1 and random.random() >= sample:  # noqa: S311 - no secret
            self._metrics.records.add("not_sampled")
            return
        try:
            self._queue.put_nowait((time.time(), request, response, caller, model.version, seconds))
        except queue.Full:
            self._metrics.records.add("dropped")

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                lines = self._records(*item)
                if lines:  # a request may have no rows
                    self._write(lines)
                self._metrics.records.add("written", by=len(lines))
            except OSError as error:
                self._metrics.records.add("failed")
                log.warning("a prediction record was lost: %s", error)
            except Exception:
                self._metrics.records.add("failed")
                log.exception("a prediction record could not be made")

    def _records(
        self, at: float, request: Any, response: Any, caller: Caller, version: int, seconds: float
    ) -> list[str]:
        outputs = {
            key: from_proto(proto)
            for key, proto in response.outputs.items()
            if _countable(dim.size for dim in proto.tensor_shape.dim)
        }
        images: list[bytes] = []
        if IMAGE_BYTES in request.inputs and request.inputs[IMAGE_BYTES].dtype == DT_STRING:
            images = list(request.inputs[IMAGE_BYTES].string_val)
        rows = len(images) or max((len(a) for a in outputs.values() if a.ndim), default=1)
        records = []
        if rows > MAX_ROWS:
            self._metrics.records.add("rows_left_out", by=rows - MAX_ROWS)
        for i in range(min(rows, MAX_ROWS)):
            record = record_prediction(
                {key: _cell(array, i) for key, array in outputs.items()},
                time=of_seconds(at),
                request_id=caller.request_id,
                row=i,
                rows=rows,
                model=response.model_spec.name,
                model_version=str(version),
                signature=response.model_spec.signature_name,
                latency_ms=round(seconds * 1000, 3),
                caller=caller.peer,
                entrypoint=caller.entrypoint,
                device_id=caller.device_id or None,
                image=self._image(images[i]) if i < len(images) else None,
            )
            records.append(record.line())
        return records

    def _image(self, data: bytes) -> dict[str, Any]:
        facts: dict[str, Any] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        try:
            header = read_header(data)
            facts |= {"format": header.format, "width": header.width, "height": header.height}
            with Image.open(io.BytesIO(data)) as image:
                found = measure(reduced(image))
            # 0 to 255, R, G, B.
            facts |= {"channel_mean": found.channel_mean, "channel_std": found.channel_std}
        except (HeaderError, UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            facts["unreadable"] = str(error)[:200]
        if self._options.request_log_images:
            facts["data"] = base64.b64encode(data).decode()
        return facts

    def _write(self, lines: list[str]) -> None:
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8")
        self._file.write("\n".join(lines) + "\n")
        self._file.flush()
        if self._file.tell() >= self._options.request_log_max_bytes:
            self._rotate()

    def _rotate(self) -> None:
        """predictions.jsonl becomes .1, .1 becomes .2, and the oldest goes."""
        if self._file is not None:
            self._file.close()
            self._file = None
        for number in range(self._options.request_log_backups, 0, -1):
            older = self._path.with_suffix(f".jsonl.{number}")
            newer = self._path if number == 1 else self._path.with_suffix(f".jsonl.{number - 1}")
            if newer.exists():
                newer.replace(older)

    def close(self) -> None:
        """Write what waits, then stop."""
        try:
            self._queue.put(None, timeout=_CLOSE_SECONDS)
        except queue.Full:
            log.warning("the disk is too slow: the last prediction records are lost")
        self._thread.join(_CLOSE_SECONDS)
        if self._file is not None and not self._thread.is_alive():
            self._file.close()
            self._file = None


def _countable(shape: Iterable[int]) -> bool:
    """Whether numpy can hold the shape: a client may ask for [2**62, 0], which has no element at all."""
    sizes = list(shape)
    return len(sizes) <= 64 and math.prod(max(size, 1) for size in sizes) < 2**48


def _cell(array: Array, row: int) -> Any:
    """One row of an output; None where it is too long for a record or has no such row."""
    if array.ndim == 0:
        return _plain(array[()])
    if row >= len(array) or np.size(array[row]) > MAX_VALUES:
        return None
    return _plain(array[row])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return _plain(value.tolist()) if hasattr(value, "tolist") else value
