"""What clinicians' outcomes say of a model in the field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from core.measures.auc import auc_interval
from core.measures.calibration import brier, calibration_error, reliability
from core.measures.rates import Interval, wilson
from core.settings import Frozen
from dashboard.database.tables import Prediction

BINS = 10
LEAST_KNOWN = 20


class FieldQuality(Frozen):
    """Quality measured on answers whose outcome is known."""

    melanomas: int
    benign: int
    unclear: int
    sensitivity: Interval | None = Field(
        description="of the reviewed melanomas, those the model referred or set to review"
    )
    referred: Interval | None = Field(description="of the reviewed melanomas, those it referred")
    specificity: Interval | None = Field(
        description="of the reviewed lesions that are no melanoma, those it did not refer"
    )
    weighted_sensitivity: float | None = Field(
        description="sensitivity with each zone weighted by how few of its answers were reviewed"
    )
    auc: Interval | None
    brier: float | None
    calibration_error: float | None
    reliability: tuple[tuple[float, float, int], ...] = Field(
        description="mean probability, share of melanomas, answers"
    )


def quality(session: Session, version: str | None, since: int, until: int | None = None) -> FieldQuality:
    """Quality of one version, or of all, since a moment, up to now or to another."""
    wanted = [Prediction.at >= since]
    if until is not None:
        wanted.append(Prediction.at <= until)
    if version:
        wanted.append(Prediction.version == version)
    rows = session.execute(
        select(Prediction.probability, Prediction.decision, Prediction.zone, Prediction.outcome).where(
            Prediction.outcome.is_not(None), *wanted
        )
    ).all()
    known = [row for row in rows if row.outcome in ("melanoma", "benign")]
    labels = np.array([row.outcome == "melanoma" for row in known], dtype=np.int64)
    scores = np.array([row.probability for row in known], dtype=np.float64)
    melanomas = [row for row in known if row.outcome == "melanoma"]
    benign = [row for row in known if row.outcome == "benign"]
    enough = len(known) >= LEAST_KNOWN
    return FieldQuality(
        melanomas=len(melanomas),
        benign=len(benign),
        unclear=len(rows) - len(known),
        sensitivity=wilson(sum(row.zone != "low" for row in melanomas), len(melanomas)),
        referred=wilson(sum(row.decision == 1 for row in melanomas), len(melanomas)),
        specificity=wilson(sum(row.decision == 0 for row in benign), len(benign)),
        weighted_sensitivity=_weighted(session, [(row.zone, row.outcome) for row in known], wanted),
        auc=auc_interval(labels, scores) if melanomas and benign else None,
        brier=brier(labels, scores) if known else None,
        calibration_error=calibration_error(labels, scores) if enough else None,
        reliability=tuple(
            (mean, share, int(count)) for mean, share, count in reliability(labels, scores, BINS).tolist()
        )
        if enough
        else (),
    )


def _weighted(
    session: Session, known: list[tuple[str, str]], wanted: Sequence[ColumnElement[bool]]
) -> float | None:
    """Reviewed answers are no fair sample: dangerous zones are reviewed more. Each zone counts by its size.

    None while a zone has answers and none of them an outcome.
    """
    sizes = session.execute(
        select(Prediction.zone, func.count()).where(*wanted).group_by(Prediction.zone)
    ).all()
    found = missed = 0.0
    for zone, size in sizes:
        reviewed = sum(one == zone for one, _ in known)
        melanomas = sum(one == zone and outcome == "melanoma" for one, outcome in known)
        if not reviewed:
            return None  # nobody knows what this zone hides
        share = melanomas / reviewed * size
        found, missed = (found, missed + share) if zone == "low" else (found + share, missed)
    return found / (found + missed) if found + missed else None
