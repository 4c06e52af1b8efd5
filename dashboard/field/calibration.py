"""Whether a version's probabilities still mean what they say in the field, and the outcomes that tell."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
from pydantic import Field
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from core.measures.calibration import calibration_line, calibration_test
from core.measures.rates import Interval
from core.measures.recalibration import FOR_A_LINE
from core.records.outcome import FieldOutcome
from core.records.times import of_seconds
from core.settings import Frozen
from dashboard.database.tables import DataImage, Examination, Prediction, Review

DRIFTED_P = 0.01
LEAST = 10  # of each kind, to judge at all


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
    line = calibration_line(labels, scores) if min(melanomas, benign) >= LEAST else None
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
