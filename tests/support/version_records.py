"""The record of a version that passed its gates."""

from __future__ import annotations

from datetime import UTC, datetime

from core.records.verdict import Verdict, at_least
from core.records.version import Parents, VersionRecord


def version_record(version: str, fingerprint: str = "f" * 64) -> VersionRecord:
    return VersionRecord(
        model_name="melanoma",
        version=version,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        run_id="r",
        preset="quick",
        software="0.1.0",
        config={},
        label_counts={"train": {"negatives": 9, "positives": 1}},
        metrics={"auc": 0.9},
        slices=(),
        verdicts=(Verdict(gate="model", checks=(at_least("auc", 0.9, 0.8),)),),
        sha256="a" * 64,
        fingerprint=fingerprint,
        parents=Parents(data_version="d" * 64, baseline_version=None),
        model={"threshold": 0.1},
    )
