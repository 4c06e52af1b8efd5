"""What training measured, one record an evaluation: for history.json, TensorBoard and the printed line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from core.measures import rates
from core.measures.auc import auc
from core.measures.calibration import log_loss


@dataclass(frozen=True)
class Scores:
    """Figures at one moment of training; false negatives are counted at a probability of 0.5."""

    auc: float
    log_loss: float
    false_negatives: int
    positives: int


def scores(targets: rates.Labels, probabilities: rates.Scores) -> Scores:
    """Figures of uncalibrated or calibrated probabilities (each [n])."""
    positive = targets == 1
    return Scores(
        auc=auc(targets, probabilities),
        log_loss=log_loss(targets, probabilities),
        false_negatives=int(np.sum(positive & (probabilities < 0.5))),
        positives=int(positive.sum()),
    )


@dataclass(frozen=True)
class Epoch:
    """One evaluation.

    Attributes:
        stage: number of the stage, from 0.
        size: side of the training pictures, px.
        epoch: number in its stage, from 1.
        loss: mean training loss since the last evaluation.
        eval_auc: area under the ROC curve on eval.
        eval_log_loss: log-loss of the uncalibrated probability on eval.
        false_negatives: positives of eval below a probability of 0.5.
        positives: positives in eval.
        learning_rate: factor on the peak rates at its end.
        seconds: time since the last evaluation.
        waiting: share of that time in which the step waited for its batch.
        images_per_second: images trained on, over that time.
    """

    stage: int
    size: int
    epoch: int
    loss: float
    eval_auc: float
    eval_log_loss: float
    false_negatives: int
    positives: int
    learning_rate: float
    seconds: float
    waiting: float
    images_per_second: float


class History:
    """All epochs of a run, kept in history.json and as TensorBoard scalars after each one."""

    def __init__(self, folder: Path, kept: bool = True) -> None:
        """`kept` is false where another process writes the files."""
        self._folder = folder
        self.epochs: list[Epoch] = []
        self.extra: dict[str, Any] = {}
        self._kept = kept
        if kept:
            folder.mkdir(parents=True, exist_ok=True)
            self._board = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """Takes over the epochs of the run that was interrupted."""
        for row in rows:
            self.add(Epoch(**row))

    def rows(self) -> list[dict[str, Any]]:
        """The epochs as JSON-able objects."""
        return [asdict(epoch) for epoch in self.epochs]

    def add(self, epoch: Epoch) -> None:
        """Records one epoch and writes everything."""
        self.epochs.append(epoch)
        if not self._kept:
            return
        with self._board.as_default(step=len(self.epochs)):
            for name, value in asdict(epoch).items():
                _scalar(name, value)
        self._board.flush()
        self.write()

    def keep(self, name: str, text: str) -> None:
        """Writes a file beside history.json, for the report."""
        if self._kept:
            (self._folder / name).write_text(text + "\n", encoding="utf-8")

    def write(self) -> None:
        """Writes history.json."""
        text = json.dumps({"epochs": self.rows(), **self.extra}, indent=1)
        part = self._folder / "history.json.part"
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(self._folder / "history.json")


def _scalar(name: str, value: float) -> None:
    """tf.summary.scalar without the tensorboard package: only reading the logs needs it."""
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
        data_class=1,  # DATA_CLASS_SCALAR
    )
    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
