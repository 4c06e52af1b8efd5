"""Reads what ExampleValidator found in each split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import anomalies_pb2

from core.features import IMAGE
from core.records.verdict import Check, at_most

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
        raise ValueError(f"{folder / FILE_NAME} does not hold TFDV anomalies") from error
    return message


def checks(folders: Mapping[str, Path]) -> Iterable[Check]:
    """Yield one check a split, failed with a sentence for each anomaly, or passed.

    What TFDV guesses about texts is not one: names of three words look like natural language to it, names that are
    numbers like dates, and both differ from split to split. Of a split without records the class balance speaks.
    """
    for split, folder in folders.items():
        found = load(folder)
        anomalies = {
            name: info
            for name, info in found.anomaly_info.items()
            if info.severity == anomalies_pb2.AnomalyInfo.ERROR and not _is_guess(name, info)
        }
        if found.HasField("dataset_anomaly_info"):
            anomalies["data set"] = found.dataset_anomaly_info
        if found.data_missing:
            anomalies = {}
        detail = "; ".join(
            f"{name}: {info.description or info.short_description}"
            for name, info in sorted(anomalies.items())
        )
        detail = f"{detail}; the schema is schemas/features.pbtxt" if detail else ""
        yield at_most("schema_anomalies", len(anomalies), 0, f"split:{split}", detail)


def _is_guess(name: str, info: anomalies_pb2.AnomalyInfo) -> bool:
    kinds = {reason.type for reason in info.reason}
    # Of the image the domain is in the schema, and a file that is not an image shows as its own anomaly.
    return name != IMAGE and kinds == {anomalies_pb2.AnomalyInfo.SEMANTIC_DOMAIN_UPDATE}
