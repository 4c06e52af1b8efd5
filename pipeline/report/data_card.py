"""The data card: what the data set holds, what was left out and why; counted, not described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from core.features import SPLITS
from core.numbers import count
from core.settings import Frozen
from pipeline.report import words
from pipeline.report.data import Data
from pipeline.report.evidence import Evidence


class Labels(Frozen):
    """Images of each label."""

    others: int
    melanomas: int


class DataCard(Frozen):
    """Counted figures of one version of a data set."""

    schema_version: Literal[1] = 1
    data_version: str = Field(description="SHA-256 of the data set")
    run_id: str = Field(description="the run that counted")
    splits: dict[str, Labels]
    groups: dict[str, dict[str, Labels]] = Field(description="by feature and value, over all splits")
    ingest: dict[str, Any] | None = Field(
        description="the manifest's counts; null where there is no manifest"
    )
    sources: Sequence[dict[str, Any]] = Field(description="what was ingested, without paths")
    labels: Sequence[dict[str, Any]] = Field(
        description="rows by the name that the data give them, and the label or the reason for none it became"
    )
    spans: Sequence[dict[str, Any]] = Field(description="the parts, in the order they were added")
    quarantined: dict[str, int] | None = Field(
        description="files left out, by reason; null where not recorded"
    )
    class_weights: dict[str, float] | None
    overlap: dict[str, Any] | None = Field(description="groups and images in more than one split")
    accepted: bool | None = Field(description="what the data gate decided; null where it did not get to it")
    not_known: Sequence[str]


def of(evidence: Evidence, data: Data) -> DataCard:
    """Make the card of the data set a run has read."""
    found, manifest = evidence.groups, evidence.manifest
    balance = evidence.balance or {}
    groups: dict[str, dict[str, Labels]] = {}
    if found is not None:
        for group in found.names:
            groups[group] = {
                value: _labels(*found.labels(group, value, SPLITS)) for value in found.values(group)
            }
    verdict = next((item for item in evidence.result.verdicts if item.gate == "data"), None)
    return DataCard(
        data_version=evidence.result.data_version,
        run_id=evidence.result.run_id,
        splits={row.name: _labels(row.negatives, row.positives) for row in data.splits},
        groups=groups,
        ingest=manifest.counts.model_dump() if manifest else None,
        sources=[source.model_dump() for source in (manifest.sources if manifest else ())],
        labels=[label.model_dump() for label in (manifest.labels if manifest else ())],
        spans=[span.model_dump() for span in (manifest.spans if manifest else ())],
        quarantined={item.reason: item.rows for item in evidence.quarantined}
        if evidence.quarantined is not None
        else None,
        class_weights=balance.get("class_weights"),
        overlap=balance.get("overlap"),
        accepted=verdict.passed if verdict else None,
        not_known=_not_known(groups),
    )


def _labels(negatives: int, positives: int) -> Labels:
    return Labels(others=negatives, melanomas=positives)


def _not_known(groups: dict[str, dict[str, Labels]]) -> list[str]:
    sentences = []
    for group, values in groups.items():
        unknown = values.get("unknown")
        if unknown:
            total = sum(labels.others + labels.melanomas for labels in values.values())
            sentences.append(
                f"The {words.group(group)} of {count(unknown.others + unknown.melanomas)} of {count(total)} images is not recorded."
            )
    sentences.append(
        "Skin tone is not recorded: the report's slices by skin tone are an estimate from the skin around the lesion."
    )
    return sentences
