"""Drift: how answers of some days differ from what the model was fitted on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import Field
from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from core.measures.drift import SHIFTED, STEADY, kolmogorov_smirnov, population_stability_index
from core.measures.rates import Scores
from core.settings import Frozen
from dashboard import clock
from dashboard.database.tables import Bin, Reference
from dashboard.field.features import FEATURES
from dashboard.readers.evidence import Evidence
from dashboard.readers.registry import Version

LEAST = 50


class Drift(Frozen):
    """One feature's drift."""

    feature: str
    psi: float | None = Field(description="population stability index")
    distance: float | None = Field(description="Kolmogorov-Smirnov distance of the binned shares")
    p_value: float | None
    verdict: str = Field(description="steady, moved, shifted, or too small")
    reference: tuple[int, ...] = Field(description="images of the training data in each bin")
    seen: tuple[int, ...] = Field(description="answers in each bin")


def drift(
    session: Session,
    evidence: Evidence,
    name: str,
    version: Version | None,
    since: int,
    until: int | None = None,
) -> list[Drift]:
    """Every feature's drift of the answers of one version since a day; the reference is empty if its record is missing."""
    first, end = since // clock.DAY * clock.DAY, until or clock.now()
    rows = session.execute(
        select(Bin.feature, Bin.bin, func.sum(Bin.count))
        .where(Bin.day >= first, Bin.day <= end, Bin.version == name)
        .group_by(Bin.feature, Bin.bin)
    )
    seen = _filled(rows)
    reference = _reference(session, evidence, version) if version else _filled(())
    return [_compare(feature, reference[feature], seen[feature]) for feature in FEATURES]


def _reference(session: Session, evidence: Evidence, version: Version) -> dict[str, Scores]:
    rows = session.execute(
        select(Reference.feature, Reference.bin, Reference.count).where(
            Reference.data_version == version.data_version
        )
    )
    result = _filled(rows)
    scores = evidence.on_eval(version.run_id)
    if scores is not None:
        feature = FEATURES["probability"]
        bins = np.searchsorted(np.array(feature.edges), scores.scores, "right")
        result["probability"] = np.bincount(bins, minlength=feature.bins).astype(np.float64)
    return result


def _filled(rows: Iterable[Row[str, int, int]]) -> dict[str, Scores]:
    result: dict[str, Scores] = {name: np.zeros(feature.bins) for name, feature in FEATURES.items()}
    for name, number, count in rows:
        if name in FEATURES and number < FEATURES[name].bins:
            result[name][number] = count
    return result


def _compare(name: str, expected: Scores, actual: Scores) -> Drift:
    psi = population_stability_index(expected, actual)
    test = kolmogorov_smirnov(expected, actual)
    if psi is None or actual.sum() < LEAST:
        verdict = "too small"
    elif psi < STEADY:
        verdict = "steady"
    else:
        verdict = "moved" if psi < SHIFTED else "shifted"
    return Drift(
        feature=name,
        psi=psi,
        distance=test[0] if test else None,
        p_value=test[1] if test else None,
        verdict=verdict,
        reference=tuple(int(value) for value in expected),
        seen=tuple(int(value) for value in actual),
    )
