"""TFDV's statistics and anomalies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from core.protos import data_statistics_pb2 as protos
from core.settings import Frozen

M = TypeVar("M", bound=Message)
KINDS = {0: "int", 1: "float", 2: "string", 3: "bytes", 4: "struct"}
TOP_VALUES = 8


class Feature(Frozen):
    """What TFDV counted of one feature in one split."""

    name: str
    kind: str
    present: int
    missing: int
    mean: float | None = None
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None
    unique: int | None = None
    top: tuple[tuple[str, float], ...] = ()
    histogram: tuple[tuple[float, float, float], ...] = ()  # low, high, count


class Anomaly(Frozen):
    """Something that contradicts the schema."""

    split: str
    feature: str
    summary: str
    description: str
    severity: str


def _messages(folder: Path, name: str, kind: type[M]) -> Iterator[tuple[str, M]]:
    """Yield each split of an artifact with the message in its file; one that cannot be read is left out."""
    for path in sorted(folder.glob("Split-*")):
        message = kind()
        try:
            message.ParseFromString((path / name).read_bytes())
        except (OSError, DecodeError):
            continue
        yield path.name.removeprefix("Split-"), message


def statistics(folder: Path) -> dict[str, list[Feature]]:
    """Features by split of a Statistics artifact."""
    result = {}
    for split, message in _messages(folder, "FeatureStats.pb", protos.DatasetFeatureStatisticsList):
        features = [_feature(one) for data in message.datasets for one in data.features]
        result[split] = sorted(features, key=lambda feature: feature.name)
    return result


def anomalies(folder: Path) -> list[Anomaly]:
    """What an ExampleAnomalies artifact holds."""
    result = []
    for split, message in _messages(folder, "SchemaDiff.pb", protos.Anomalies):
        found = dict(message.anomaly_info)
        if message.HasField("dataset_anomaly_info"):
            found["(whole split)"] = message.dataset_anomaly_info
        for feature, info in sorted(found.items()):
            result.append(
                Anomaly(
                    split=split,
                    feature=feature,
                    summary=info.short_description,
                    description=info.description,
                    severity={1: "warning", 2: "error"}.get(info.severity, "unknown"),
                )
            )
    return result


def _feature(message: protos.FeatureNameStatistics) -> Feature:
    facts: dict[str, Any]
    if message.HasField("num_stats"):
        stats = message.num_stats
        common = stats.common_stats
        standard = next((h for h in stats.histograms if h.type == protos.Histogram.STANDARD), None)
        bars = standard.buckets if standard else ()
        facts = {
            **{"mean": stats.mean, "minimum": stats.min, "median": stats.median, "maximum": stats.max},
            "histogram": tuple((bar.low_value, bar.high_value, bar.sample_count) for bar in bars),
        }
    elif message.HasField("string_stats"):
        text = message.string_stats
        common = text.common_stats
        top = tuple((value.value, value.frequency) for value in text.top_values[:TOP_VALUES])
        facts = {"unique": text.unique, "top": top}
    else:
        raw = message.bytes_stats
        common = raw.common_stats
        sizes = {"mean": raw.avg_num_bytes, "minimum": raw.min_num_bytes, "maximum": raw.max_num_bytes}
        facts = {"unique": raw.unique, **{name: value or None for name, value in sizes.items()}}
    return Feature(
        name=message.name or ".".join(message.path.step),
        kind=KINDS.get(message.type, "other"),
        present=common.num_non_missing,
        missing=common.num_missing,
        **facts,
    )
