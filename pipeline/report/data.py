"""The data set as the run saw it: balance by split and group, what was quarantined, where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components.ingest.manifest import Manifest
from core.charts import marks
from core.features import SPLITS
from core.numbers import count, percent
from pipeline.report import words
from pipeline.report.evidence import Evidence

MOST_VALUES = 12


@dataclass(frozen=True)
class Balance:
    """Other lesions and melanomas of a part of the data, and a bar of their shares."""

    name: str
    negatives: int
    positives: int
    bar: Markup

    @property
    def images(self) -> int:
        """All images."""
        return self.negatives + self.positives

    @property
    def share(self) -> float | None:
        """Melanomas by images."""
        return self.positives / self.images if self.images else None


@dataclass(frozen=True)
class Data:
    """What is shown of the data set."""

    splits: Sequence[Balance]  # balance of each split
    groups: Sequence[tuple[str, Sequence[Balance]]]  # of each value of sex, age, site, diagnosis and source
    single: Sequence[tuple[str, str]]  # features of which all images share one value
    weights: tuple[float, float] | None  # of another lesion and a melanoma in training
    accounts: Sequence[tuple[str, int]]  # where the rows of the sources went
    shown: int = MOST_VALUES  # values of a group, or names of a label, that are shown; the rest is summed up


def of(evidence: Evidence) -> Data:
    """Collect what is known of the data set."""
    balance = evidence.balance or {}
    splits = [
        _balance(name, labels["negatives"], labels["positives"])
        for name, labels in balance.get("label_counts", {}).items()
    ]
    groups: list[tuple[str, Sequence[Balance]]] = []
    single: list[tuple[str, str]] = []
    found = evidence.groups
    if found is not None:
        for group in found.names:
            values = found.values(group)
            if len(values) == 1:
                single.append((words.group(group), values[0]))
            elif values:
                rows = [_balance(words.value(value), *found.labels(group, value, SPLITS)) for value in values]
                groups.append((words.GROUPS[group], _summed(rows)))
    weights = balance.get("class_weights")
    return Data(
        splits=splits,
        groups=groups,
        single=single,
        weights=(float(weights["0"]), float(weights["1"])) if weights else None,
        accounts=_accounts(evidence.manifest),
    )


def _summed(rows: list[Balance]) -> list[Balance]:
    if len(rows) <= MOST_VALUES:
        return rows
    rest = rows[MOST_VALUES - 1 :]
    name = f"{len(rest)} others"
    return [
        *rows[: MOST_VALUES - 1],
        _balance(name, sum(r.negatives for r in rest), sum(r.positives for r in rest)),
    ]


def _balance(name: str, negatives: int, positives: int) -> Balance:
    images = negatives + positives
    share = percent(positives / images) if images else "none"
    bar = marks.stacked(
        [
            (float(positives), "melanoma", f"{count(positives)} melanomas, {share}"),
            (float(negatives), "other", f"{count(negatives)} others"),
        ]
    )
    return Balance(name, negatives, positives, bar)


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
