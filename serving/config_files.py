"""Text-proto files given by flags, read with errors that name the file, the line and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from core.process import cores
from core.protos.serving_config_pb2 import BatchingParameters as BatchingProto
from core.protos.serving_config_pb2 import MonitoringConfig, SSLConfig
from serving.engine.batching import BatchingParameters
from serving.protos import model_server_config_pb2
from serving.status import invalid_argument

PROMETHEUS_PATH = "/monitoring/prometheus/metrics"
# Rows of a batch by default: two of them on two cores were as cheap a row as larger ones (benchmarks/README.md).
_SMALL_BATCH = 8


def read_text_proto(path: str | Path, message: Any) -> Any:
    """Parse a text-proto file into `message` and return it.

    Raises:
        ServingError: INVALID_ARGUMENT beginning with TF Serving's `Invalid protobuf file: 'PATH'`, then line,
            column and cause.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise invalid_argument(f"Invalid protobuf file: '{path}': {error}") from error
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        where = f"line {error.GetLine()}" if error.GetLine() else "somewhere"
        raise invalid_argument(f"Invalid protobuf file: '{path}': {where}: {error}") from error


def read_model_config(path: str | Path) -> Any:
    """A ModelServerConfig."""
    return read_text_proto(path, model_server_config_pb2.ModelServerConfig())


def single_model_config(name: str, base_path: str) -> Any:
    """Return the ModelServerConfig that --model_name and --model_base_path stand for."""
    if "://" not in base_path:
        base_path = str(Path(base_path).absolute())
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform="tensorflow")
    return config


def read_monitoring_path(path: str | Path | None) -> str | None:
    """Return the path of the Prometheus page; None if a file switches it off."""
    if not path:
        return PROMETHEUS_PATH
    config = read_text_proto(path, MonitoringConfig()).prometheus_config
    if not config.enable:
        return None
    return config.path or PROMETHEUS_PATH


def read_ssl(path: str | Path) -> Any:
    """An SSLConfig with its PEM texts; a server key and certificate are required."""
    config = read_text_proto(path, SSLConfig())
    for field in ("server_key", "server_cert"):
        if "-----BEGIN" not in getattr(config, field):
            raise invalid_argument(f"{path}: {field} must hold PEM text (-----BEGIN ...), not a file name")
    return config


def default_batching() -> BatchingParameters:
    """What --enable_batching alone means: small batches on every core.

    Images of more than one small batch cost no less each, and all of the callers waiting in one batch leave the other
    core a batch of those few that came later. A request may hold as many rows as ever, and the queue too.
    """
    standard = BatchingParameters()
    return BatchingParameters(
        max_enqueued_batches=standard.max_enqueued_batches * standard.max_batch_size // _SMALL_BATCH,
        num_batch_threads=cores(),
        enable_large_batch_splitting=True,
        max_execution_batch_size=_SMALL_BATCH,
    )


def read_batching(path: str | Path) -> BatchingParameters:
    """BatchingParameters with SharedBatchScheduler's defaults where a field is absent, checked as TF Serving does.

    Raises:
        ServingError: INVALID_ARGUMENT naming the field.
    """
    proto = read_text_proto(path, BatchingProto())
    # A wrapper tells that a field is absent, which has another default than 0.
    given = {field.name: value.value for field, value in proto.ListFields() if field.message_type}
    sizes = tuple(proto.allowed_batch_sizes)
    parameters = replace(
        BatchingParameters(num_batch_threads=cores()),
        allowed_batch_sizes=sizes,
        pad_variable_length_inputs=proto.pad_variable_length_inputs,
        **given,
    )
    limit = parameters.execution_limit if parameters.splits else parameters.max_batch_size
    if sizes and sizes[-1] != limit:
        name = "max_execution_batch_size" if limit != parameters.max_batch_size else "max_batch_size"
        raise invalid_argument(
            f"Last entry in allowed_batch_sizes must match {name}; last entry was {sizes[-1]}; expected {limit}"
        )
    if parameters.max_execution_batch_size > parameters.max_batch_size:
        raise invalid_argument(
            f"max_execution_batch_size must be at most max_batch_size ({parameters.max_batch_size}); was "
            f"{parameters.max_execution_batch_size}"
        )
    if list(sizes) != sorted(set(sizes)) or any(size < 1 for size in sizes):
        raise invalid_argument(
            f"allowed_batch_sizes must be positive and in increasing order; was {list(sizes)}"
        )
    for field, minimum, word in (
        ("num_batch_threads", 1, "positive"),
        ("max_batch_size", 1, "positive"),
        ("batch_timeout_micros", 0, "non-negative"),
        ("max_enqueued_batches", 0, "non-negative"),
    ):
        value = getattr(parameters, field)
        if value < minimum:
            raise invalid_argument(f"{field} must be {word}; was {value}")
    return parameters
