"""Warm-up: the recorded requests beside a model, replayed before it is AVAILABLE (saved_model_warmup_util.cc)."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from core import tfrecord
from serving.api import classify, predict
from serving.engine.model import Model
from serving.operations.metrics import Metrics
from serving.protos import prediction_log_pb2
from serving.status import Code, ServingError, invalid_argument, unimplemented

log = logging.getLogger(__name__)

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000


def _replay(model: Model, record: Any) -> None:
    kind = record.WhichOneof("log_type")
    if kind is None:
        return
    if kind == "session_run_log":
        raise unimplemented(f"Unsupported log_type for warmup: {kind}")
    run = predict.run_predict if kind == "predict_log" else classify.run
    run(model, getattr(record, kind).request)


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
    try:
        for count, data in enumerate(tfrecord.read(path), 1):
            try:
                record = prediction_log_pb2.PredictionLog.FromString(data)
            except DecodeError as error:
                raise invalid_argument(f"Failed to parse warmup record: {data[:80]!r} from {path}") from error
            for _ in range(iterations):
                _replay(model, record)
            if count > MAX_RECORDS:
                raise invalid_argument(
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}"
                )
    except tfrecord.DamagedRecordsError as error:
        text = f"{error}. Please verify your warmup data is in TFRecord format."
        raise ServingError(Code.DATA_LOSS, text) from None
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
