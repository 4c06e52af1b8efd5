"""What clinicians' outcomes say of a model in the field: its quality, and whether its probabilities mean what they say."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field
from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from core.measures.auc import auc_interval
from core.measures.calibration import (
    brier,
    calibration_error,
    calibration_line,
    calibration_test,
    reliability,
)
from core.measures.rates import Interval, wilson
from core.measures.recalibration import FOR_A_LINE
from core.records.outcome import FieldOutcome
from core.records.times import of_seconds
from core.settings import Frozen
from dashboard.database.tables import DataImage, Examination, Prediction, Review

BINS = 10
LEAST_KNOWN = 20
DRIFTED_P = 0.01
LEAST_OF_EACH = 10  # to judge a calibration at all


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


class FieldCalibration(Frozen):
    """Calibration of one version on all of its answers whose outcome is known."""

    version: str
    melanomas: int
    benign: int
    stated: float = Field(description="melanomas that the stated probabilities promise")
    intercept: Interval | None = Field(description="above 0 melanoma is more frequent than stated")
    slope: Interval | None = Field(description="below 1 statements are too extreme")
    p_value: float | None = Field(
        description="that intercept 0 and slope 1 are true (likelihood ratio); none if there are too few"
    )
    drifted: bool = Field(description=f"the p-value is below {DRIFTED_P}")
    enough: bool = Field(
        description=f"{2 * FOR_A_LINE} of each kind: half of them fit factor and shift, the others measure"
    )
    command: str = Field(description="what a person may run to recalibrate; nothing runs by itself")


def confirmed(session: Session, version: str, data_version: str) -> list[FieldOutcome]:
    """Return a version's answers whose outcome is known, without images that it was trained on."""
    trained = exists().where(
        DataImage.sha256 == Prediction.sha256,
        DataImage.data_version == data_version,
        DataImage.split == "train",
    )
    # Of several outcomes the newest counts: what it rests on stands in the last review.
    basis = (
        select(Review.basis)
        .where(Review.prediction_id == Prediction.id)
        .order_by(Review.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Prediction, Examination.code, basis)
        .outerjoin(Examination, Examination.id == Prediction.request_id)
        .where(Prediction.version == version, Prediction.outcome.in_(("melanoma", "benign")), ~trained)
        .order_by(Prediction.id)
    )
    return [
        FieldOutcome.model_validate(
            {
                "answer": row.id,
                "time": of_seconds(row.at / 1000),
                "version": row.version,
                "patient": code or "",
                "zone": row.zone,
                "probability": row.probability,
                "outcome": row.outcome,
                "basis": basis or "",
            }
        )
        for row, code, basis in rows
    ]


def calibration(
    outcomes: list[FieldOutcome], version: str, workspace: Path = Path("workspace")
) -> FieldCalibration:
    """Return what the outcomes say of a version's calibration."""
    labels = np.array([row.label for row in outcomes], np.int64)
    scores = np.array([row.probability for row in outcomes], np.float64)
    melanomas = int(labels.sum())
    benign = len(labels) - melanomas
    line = calibration_line(labels, scores) if min(melanomas, benign) >= LEAST_OF_EACH else None
    p = calibration_test(labels, scores) if line else None
    return FieldCalibration(
        version=version,
        melanomas=melanomas,
        benign=benign,
        stated=float(scores.sum()),
        intercept=line.intercept if line else None,
        slope=line.slope if line else None,
        p_value=p,
        drifted=p is not None and p < DRIFTED_P,
        enough=min(melanomas, benign) >= 2 * FOR_A_LINE,
        command=f"melanosizer recalibrate --field outcomes-{version}.csv --version {version} "
        f"--workspace {shlex.quote(str(workspace))}",
    )
