"""What the Evaluator writes for others to read: measures of slices, and of pictures from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, TypeAdapter

from core.measures.calibration import CALIBRATION_METHOD
from core.measures.rates import Counts, Interval
from core.settings import Frozen

EXTERNAL_FILE: Final = "external.json"


class SliceMetrics(Counts):
    """Metrics of one slice of the test split, with what the operating point decides there."""

    slice: str = Field(description="overall, or feature:value")
    auc: float | None = Field(description="ROC AUC; null if one class is missing")
    partial_auc: float | None = Field(
        default=None, description="area above 80 % sensitivity, 0 to 0.2; null if one class is missing"
    )
    auc_precision_recall: float | None = Field(description="average precision; null if one class is missing")

    def recorded(self, threshold: float) -> dict[str, float | None]:
        """Return what the registry's record of the version keeps, with the threshold that stands in the model."""
        return {
            "auc": self.auc,
            "partial_auc": self.partial_auc,
            "auc_precision_recall": self.auc_precision_recall,
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
            "threshold": threshold,
        }


class External(Frozen):
    """Measures of one external data set at the stored operating point; nothing was fitted on it."""

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


EXTERNALS: Final = TypeAdapter(tuple[External, ...])


def external(folder: Path) -> tuple[External, ...]:
    """Read the measures of external data sets that an evaluation left in ``folder``; none without a file of them."""
    path = folder / EXTERNAL_FILE
    return EXTERNALS.validate_json(path.read_bytes()) if path.exists() else ()
