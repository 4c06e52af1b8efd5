"""What a version's run left behind to judge it by."""

from __future__ import annotations

from pathlib import Path

from dashboard import measures
from dashboard.measures import Curves
from dashboard.readers import predictions_csv
from dashboard.readers.cache import FileCache
from dashboard.readers.predictions_csv import Predictions
from dashboard.readers.registry import RegistryFiles
from dashboard.readers.runs import RunFiles


class Evidence:
    """Finds and remembers predictions of versions and runs."""

    def __init__(self, runs: RunFiles, registry: RegistryFiles) -> None:
        self._runs = runs
        self._registry = registry
        self._predictions: FileCache[Predictions | None] = FileCache(predictions_csv.load, 24)
        # Bands are costly and do not depend on a threshold: they are drawn once a run.
        self._curves: FileCache[Curves | None] = FileCache(_curves, 200)

    def of_run(self, run_id: str) -> Predictions | None:
        """The model's probabilities on the test split."""
        return self._load(run_id, "Evaluator", "evaluation", "predictions.csv")

    def curves(self, run_id: str) -> Curves | None:
        """ROC and precision-recall of a run's model on the test split."""
        folder = self._runs.output(run_id, "Evaluator", "evaluation")
        return self._curves.get(folder / "predictions.csv") if folder else None

    def on_eval(self, run_id: str) -> Predictions | None:
        """Its probabilities on the eval split: the reference of its scores."""
        return self._load(run_id, "Trainer", "model_run", "eval_predictions.csv")

    def run_of(self, version: str) -> str | None:
        """The run that made a version."""
        record = self._registry.record(version)
        return str(record["run_id"]) if record and record.get("run_id") else None

    def model_run(self, run_id: str) -> Path | None:
        """Trainer's folder of logs."""
        return self._runs.output(run_id, "Trainer", "model_run")

    def _load(self, run_id: str, step: str, output: str, name: str) -> Predictions | None:
        folder = self._runs.output(run_id, step, output)
        return self._predictions.get(folder / name) if folder else None


def _curves(path: Path) -> Curves | None:
    found = predictions_csv.load(path)
    return measures.curves(found.labels, found.scores) if found is not None else None
