"""The data set as the run saw it: balance by split and group, what was quarantined, where it came from; and its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from components.ingest.manifest import Manifest
from core.numbers import count
from core.settings import Frozen
from pipeline.report import words
from pipeline.report.evidence import Evidence, Groups, Labels

MOST_VALUES = 12


@dataclass(frozen=True)
class Data:
    """What is shown of the data set."""

    splits: Sequence[tuple[str, Labels]]  # by split
    groups: Sequence[
        tuple[str, Sequence[tuple[str, Labels]]]
    ]  # of each value of sex, age, site, diagnosis and source
    single: Sequence[tuple[str, str]]  # features of which all images share one value
    weights: tuple[float, float] | None  # of another lesion and a melanoma in training
    accounts: Sequence[tuple[str, int]]  # where the rows of the sources went
    shown: int = MOST_VALUES  # values of a group, or names of a label, that are shown; the rest is summed up


class DataCard(Frozen):
    """Counted figures of one version of a data set."""

    schema_version: Literal[1] = 1
    data_version: str = Field(description="SHA-256 of the data set")
    run_id: str = Field(description="the run that counted")
    splits: dict[str, Labels]
    groups: Groups = Field(description="by feature and value, over all splits")
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


def of(evidence: Evidence) -> Data:
    """Collect what is known of the data set."""
    groups: list[tuple[str, Sequence[tuple[str, Labels]]]] = []
    single: list[tuple[str, str]] = []
    for group, values in evidence.groups.items():
        if len(values) == 1:
            single.append((words.group(group), next(iter(values))))
        elif values:
            rows = [(words.value(value), labels) for value, labels in values.items()]
            groups.append((words.GROUPS[group], _summed(rows)))
    weights = (evidence.balance or {}).get("class_weights")
    return Data(
        splits=list(evidence.splits.items()),
        groups=groups,
        single=single,
        weights=(float(weights["0"]), float(weights["1"])) if weights else None,
        accounts=_accounts(evidence.manifest),
    )


def _summed(rows: list[tuple[str, Labels]]) -> list[tuple[str, Labels]]:
    if len(rows) <= MOST_VALUES:
        return rows
    rest = [labels for _, labels in rows[MOST_VALUES - 1 :]]
    summed = Labels(others=sum(one.others for one in rest), melanomas=sum(one.melanomas for one in rest))
    return [*rows[: MOST_VALUES - 1], (f"{len(rest)} others", summed)]


def _accounts(manifest: Manifest | None) -> list[tuple[str, int]]:
    if manifest is None:
        return []
    counts = manifest.counts
    rows = [("rows read", counts.rows_read), ("written", counts.written), ("quarantined", counts.quarantined)]
    rows += [(f"converted: {why.replace('_', ' ')}", images) for why, images in counts.converted.items()]
    rows += [
        ("near-copies, kept in one split", counts.near_duplicates),
        ("files that no row names", counts.unlisted_files),
    ]
    return rows


def card(evidence: Evidence) -> DataCard:
    """Make the card of the data set a run has read."""
    manifest, balance = evidence.manifest, evidence.balance or {}
    verdict = next((item for item in evidence.result.verdicts if item.gate == "data"), None)
    return DataCard(
        data_version=evidence.result.data_version,
        run_id=evidence.result.run_id,
        splits=evidence.splits,
        groups=evidence.groups,
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
        not_known=_not_known(evidence.groups),
    )


def _not_known(groups: Groups) -> list[str]:
    sentences = []
    for group, values in groups.items():
        unknown = values.get("unknown")
        if unknown:
            total = sum(labels.images for labels in values.values())
            sentences.append(
                f"The {words.group(group)} of {count(unknown.images)} of {count(total)} images is not recorded."
            )
    sentences.append(
        "Skin tone is not recorded: the report's slices by skin tone are an estimate from the skin around the lesion."
    )
    return sentences
