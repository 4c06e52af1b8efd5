"""Warm-up: the recorded requests beside a model, replayed before it is AVAILABLE (saved_model_warmup_util.cc)."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from serving.api import classify, predict
from serving.engine.model import Model
from serving.operations.metrics import Metrics
from serving.protos import prediction_log_pb2
from serving.status import Code, ServingError, invalid_argument, unimplemented

log = logging.getLogger(__name__)

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000
_MAX_RECORD_BYTES = 1 << 30


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _crc_table()


def _masked_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def write_records(path: Path, records: list[bytes]) -> None:
    """Write a TFRecord file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        for data in records:
            length = struct.pack("<Q", len(data))
            out.write(length + struct.pack("<I", _masked_crc32c(length)))
            out.write(data + struct.pack("<I", _masked_crc32c(data)))


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file. The length is checked by its checksum, the data by being parsed.

    Raises:
        ServingError: DATA_LOSS for anything that is no TFRecord file.
    """
    with path.open("rb") as file:
        while header := file.read(12):
            if len(header) < 12:
                raise _data_loss(f"truncated record at {file.tell()}")
            length, crc = struct.unpack("<QI", header)
            if _masked_crc32c(header[:8]) != crc or length > _MAX_RECORD_BYTES:
                raise _data_loss(f"corrupted record at {file.tell() - 12}")
            data = file.read(length + 4)
            if len(data) < length + 4:
                raise _data_loss(f"truncated record at {file.tell()}")
            yield data[:length]


def _data_loss(text: str) -> ServingError:
    return ServingError(Code.DATA_LOSS, f"{text}. Please verify your warmup data is in TFRecord format.")


def _replay(model: Model, record: Any) -> None:
    kind = record.WhichOneof("log_type")
    if kind is None:
        return
    if kind == "session_run_log":
        raise unimplemented(f"Unsupported log_type for warmup: {kind}")
    request = getattr(record, kind).request
    runs: dict[str, Callable[[Model, Any], Any]] = {
        "predict_log": predict.run_predict,
        "classify_log": classify.run_classify,
        "regress_log": classify.run_regress,
        "multi_inference_log": classify.run_multi_inference,
    }
    runs[kind](model, request)


def warm_up(model: Model, metrics: Metrics | None = None, iterations: int = 1) -> int:
    """Replay the model's warm-up records, if it has any; returns how many there were.

    Raises:
        ServingError: what the failing record's request raised, or what is wrong with the file.
    """
    path = model.folder / FILE
    if not path.exists():
        log.info("No warmup data file found at %s", path)
        return 0
    log.info("Starting to read warmup data for model at %s", path)
    began = time.perf_counter()
    count = 0
    for data in read_records(path):
        try:
            record = prediction_log_pb2.PredictionLog.FromString(data)
        except DecodeError as error:
            raise invalid_argument(f"Failed to parse warmup record: {data[:80]!r} from {path}") from error
        for _ in range(iterations):
            _replay(model, record)
        count += 1
        if count > MAX_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
    micros = (time.perf_counter() - began) * 1e6
    if metrics is not None:
        metrics.warmup_latency.observe(micros, str(model.folder), "OK")
    log.info(
        "Finished reading warmup data for model at %s. Number of warmup records read: %d. "
        "Elapsed time (microseconds): %d.",
        path,
        count,
        micros,
    )
    return count
