"""What a run left behind to judge its version by."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from core.files import cached, read_json
from core.measures import curves
from core.measures.auc import auc_interval
from core.measures.calibration import brier, calibration_error
from core.measures.curves import Curve
from core.measures.rates import Interval
from core.records import evaluation
from core.records.evaluation import External
from core.spreadsheet import plain
from dashboard.readers.runs import RunFiles, well_formed

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


def load_predictions(path: Path) -> Predictions | None:
    """Read predictions.csv (or Trainer's eval_predictions.csv); None where it has not that form."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        labels = np.array([int(float(row["target"])) for row in rows], dtype=np.int64)
        scores = np.array([float(row["probability"]) for row in rows], dtype=np.float64)
        names = [plain(row["image_name"]) for row in rows]
    except (OSError, KeyError, ValueError, csv.Error):
        return None
    if not rows or not np.isin(labels, (0, 1)).all() or not ((scores >= 0) & (scores <= 1)).all():
        return None
    groups = {key: [plain(row.get(key) or "") for row in rows] for key in SLICES if key in rows[0]}
    return Predictions(names, labels, scores, groups)


class Epoch(BaseModel):
    """One epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: int = 0
    size: int | None = None
    epoch: float
    loss: float | None = None
    eval_auc: float | None = None
    eval_log_loss: float | None = None
    false_negatives: float | None = None
    seconds: float | None = None
    images_per_second: float | None = None


# What is one number or one interval of a Quality; pages name it so as well.
MEASURES = ("auc", "average_precision", "brier", "calibration_error")


@dataclass(frozen=True)
class Quality:
    """What does not depend on a threshold; every number and curve from core.measures, as in report and cards."""

    auc: Interval
    average_precision: float
    brier: float
    calibration_error: float
    roc: Curve
    roc_band: Curve
    precision_recall: Curve
    precision_recall_band: Curve


class Evidence:
    """Finds and remembers predictions of runs."""

    def __init__(self, runs: RunFiles) -> None:
        self._runs = runs
        self._predictions = cached(load_predictions, 24)
        # Bands are costly and do not depend on a threshold: they are drawn once a run.
        self._quality = cached(_measure, 200)

    def of_run(self, run_id: str) -> Predictions | None:
        """Return the model's probabilities on the test split."""
        folder = self._evaluation(run_id)
        return self._predictions(folder / "predictions.csv") if folder else None

    def quality(self, run_id: str) -> Quality | None:
        """Return what a run's model is worth on the test split; None with one class only."""
        folder = self._evaluation(run_id)
        return self._quality(folder / "predictions.csv") if folder else None

    def on_eval(self, run_id: str) -> Predictions | None:
        """Return its probabilities on the eval split: the reference of its scores."""
        folder = self.model_run(run_id)
        return self._predictions(folder / "eval_predictions.csv") if folder else None

    def elsewhere(self, run_id: str) -> tuple[tuple[External, ...], tuple[str, ...]]:
        """Return what was measured on pictures from elsewhere, and a sentence for a damaged file."""
        folder = self._evaluation(run_id)
        if folder is None:
            return (), ()
        try:
            return evaluation.external(folder), ()
        except (OSError, ValueError) as problem:
            return (), (f"{folder / evaluation.EXTERNAL_FILE} cannot be read: {problem}",)

    def epochs(self, run_id: str) -> tuple[Epoch, ...]:
        """Return the Trainer's history; empty where the strategy has none."""
        folder = self.model_run(run_id)
        history = read_json(folder / "history.json") if folder else None
        return well_formed(Epoch, (history or {}).get("epochs"))

    def _evaluation(self, run_id: str) -> Path | None:
        return self._runs.output(run_id, "Evaluator", "evaluation")

    def model_run(self, run_id: str) -> Path | None:
        """Return Trainer's folder of logs."""
        return self._runs.output(run_id, "Trainer", "model_run")


def _measure(path: Path) -> Quality | None:
    found = load_predictions(path)
    if found is None or not 0 < found.labels.sum() < len(found):
        return None
    labels, scores = found.labels, found.scores
    return Quality(
        auc=auc_interval(labels, scores),
        average_precision=curves.average_precision(labels, scores),
        brier=brier(labels, scores),
        calibration_error=calibration_error(labels, scores),
        roc=curves.roc(labels, scores),
        roc_band=curves.roc_band(labels, scores),
        precision_recall=curves.precision_recall(labels, scores),
        precision_recall_band=curves.precision_recall_band(labels, scores),
    )
