"""The Evaluator's predictions on the test split, and its model's thresholds."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.spreadsheet import plain

# Columns the measurements can be split by.
SLICES = ("sex", "age_band", "anatom_site", "skin_tone", "image_quality", "source", "diagnosis")


@dataclass(frozen=True)
class Predictions:
    """One row an image of the test split."""

    names: list[str]
    labels: NDArray[np.int64]  # [n], 1 = melanoma
    scores: NDArray[np.float64]  # [n], calibrated probability
    groups: dict[str, list[str]]  # column -> [n] values, "" where unknown

    def __len__(self) -> int:
        return len(self.names)


def load(path: Path) -> Predictions | None:
    """Read predictions.csv (or Trainer's eval_predictions.csv); None where it has not that form."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        labels = np.array([int(float(row["target"])) for row in rows], dtype=np.int64)
        scores = np.array([float(row["probability"]) for row in rows], dtype=np.float64)
        names = [plain(row["image_name"]) for row in rows]
    except (OSError, KeyError, ValueError, csv.Error):
        return None
    if not rows or not np.isfinite(scores).all():
        return None
    groups = {key: [plain(row.get(key) or "") for row in rows] for key in SLICES if key in rows[0]}
    return Predictions(names, labels, scores, groups)
