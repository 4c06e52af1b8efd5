"""Reads what ExampleValidator found in each split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2

from core.records.verdict import Check

FILE_NAME = "SchemaDiff.pb"


def load(folder: Path) -> anomalies_pb2.Anomalies:
    """Read the anomalies of one split from the folder TFX wrote them to.

    Raises:
        FileNotFoundError: the folder holds none.
    """
    message = anomalies_pb2.Anomalies()
    try:
        message.ParseFromString((folder / FILE_NAME).read_bytes())
    except DecodeError as error:
        raise ValueError(f"{folder / FILE_NAME} holds no TFDV anomalies") from error
    return message


def checks(folders: Mapping[str, Path]) -> Iterable[Check]:
    """Yield one failed check an anomaly, or one passed check for a split without any."""
    for split, folder in folders.items():
        found = load(folder)
        anomalies = {
            name: info
            for name, info in found.anomaly_info.items()
            if info.severity == anomalies_pb2.AnomalyInfo.ERROR
        }
        if found.HasField("dataset_anomaly_info"):
            anomalies["data set"] = found.dataset_anomaly_info
        detail = "; ".join(
            f"{name}: {info.description or info.short_description}"
            for name, info in sorted(anomalies.items())
        )
        yield Check(
            metric="schema_anomalies",
            slice=f"split:{split}",
            value=float(len(anomalies)),
            comparison="<=",
            limit=0.0,
            passed=not anomalies,
            detail=detail,
        )
