"""External validation: a model measured on pictures of other cameras and clinics, beside its own test split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from components.evaluator.measured import SliceMetrics, from_predictions
from components.evaluator.predictions import Prediction, arrays
from core.measures.auc import auc_interval, compare_unpaired
from core.measures.calibration import CALIBRATION_METHOD, calibration_line
from core.measures.rates import Interval, rate_of
from core.measures.summary import measure

FILE_NAME: Final = "external.json"
REFUSED: Final = 0.5  # out_of_distribution is 1 if the model takes the image for no dermoscopy


class External(BaseModel):
    """Measures of one external data set at the stored operating point; nothing was fitted on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    data_version: str = Field(description="SHA-256 of the data set")
    images: int
    melanomas: int
    copies: int = Field(description="images that are copies of images of the run's own data, left out")
    auc: Interval = Field(description="DeLong's interval")
    drop: Interval = Field(description="AUC here minus AUC on the own test split, unpaired DeLong")
    drop_p: float = Field(description="two-sided p-value of the drop")
    sensitivity: Interval
    specificity: Interval
    ece: Interval = Field(description=CALIBRATION_METHOD)
    brier: Interval
    intercept: Interval | None = Field(
        description="calibration in the large; above 0 melanoma is more frequent"
    )
    slope: Interval | None = Field(description="of the calibration; below 1 statements are too extreme")
    refused: Interval = Field(description="share of images taken for no dermoscopy")
    slices: tuple[SliceMetrics, ...] = ()

    @property
    def prevalence(self) -> float:
        """Melanomas by images."""
        return self.melanomas / self.images


_ALL: Final = TypeAdapter(tuple[External, ...])


def validate(
    name: str,
    data_version: str,
    elsewhere: Sequence[Prediction],
    here: Sequence[Prediction],
    *,
    copies: int = 0,
    slices: Sequence[str] = (),
    samples: int = 500,
    confidence: float = 0.95,
) -> External:
    """Measure answers to an external data set beside those to the own test split.

    Args:
        name: of the data set.
        data_version: SHA-256 of it.
        elsewhere: the model's answers to it.
        here: the model's answers to the own test split.
        copies: images that were left out.
        slices: features whose values are measured on their own.
        samples: bootstrap resamples.
        confidence: coverage of the intervals.

    Raises:
        ValueError: a data set holds one class only.
    """
    labels, scores = arrays(elsewhere)
    try:
        found = measure(labels, scores, elsewhere[0].threshold, samples=samples, confidence=confidence)
    except ValueError:
        raise ValueError(
            f"external data set {name}: {int(labels.sum())} of {len(labels)} images are melanomas; "
            "both kinds are needed"
        ) from None
    test = compare_unpaired(arrays(here), (labels, scores), confidence)
    line = calibration_line(labels, scores, confidence)
    return External(
        name=name,
        data_version=data_version,
        images=len(labels),
        melanomas=int(labels.sum()),
        copies=copies,
        auc=auc_interval(labels, scores, confidence),
        drop=Interval(value=test.difference, low=test.low, high=test.high),
        drop_p=test.p,
        sensitivity=found.sensitivity,
        specificity=found.specificity,
        ece=found.ece,
        brier=found.brier,
        intercept=line.intercept,
        slope=line.slope,
        refused=rate_of(np.array([item.out_of_distribution >= REFUSED for item in elsewhere]), confidence),
        slices=tuple(item for item in from_predictions(elsewhere, slices) if ":" in item.slice),
    )


def save(found: Sequence[External], folder: Path) -> None:
    """Write the measures as JSON into ``folder``."""
    (folder / FILE_NAME).write_bytes(_ALL.dump_json(tuple(found), indent=1) + b"\n")


def load(folder: Path) -> tuple[External, ...]:
    """Read what :func:`save` wrote."""
    return _ALL.validate_json((folder / FILE_NAME).read_bytes())
