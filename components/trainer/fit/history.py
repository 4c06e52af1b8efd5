"""What training measured, one record an evaluation: for history.json, TensorBoard and the printed line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from core.files import write_atomic
from core.measures import rates
from core.measures.auc import auc
from core.measures.calibration import log_loss


@dataclass(frozen=True)
class Scores:
    """Figures at one moment of training."""

    score: float  # chooses the best epoch; higher is better
    figures: Mapping[str, float]  # by their names in history.json
    text: str  # the figures for the printed line


def scores(targets: rates.Labels, probabilities: rates.Scores) -> Scores:
    """Figures of uncalibrated or calibrated probabilities (each [n]); false negatives are below a probability of 0.5."""
    positive = targets == 1
    area, missed = auc(targets, probabilities), int(np.sum(positive & (probabilities < 0.5)))
    figures = {
        "eval_auc": area,
        "eval_log_loss": log_loss(targets, probabilities),
        "false_negatives": missed,
        "positives": int(positive.sum()),
    }
    return Scores(area, figures, f"eval AUC {area:.4f}  false negatives {missed} of {positive.sum()}")


@dataclass(frozen=True)
class Epoch:
    """One evaluation, and the steps since the one before."""

    stage: int  # from 0
    size: int  # side of the training pictures, px
    epoch: int  # number in its stage, from 1
    loss: float  # mean of the steps
    learning_rate: float  # factor on the peak rates at its end
    seconds: float
    waiting: float  # share of that time in which the step waited for its batch
    images_per_second: float  # trained on
    figures: Mapping[str, float]  # on eval

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Epoch:
        """Return the epoch of a row of history.json."""
        own = {one.name: row[one.name] for one in fields(cls) if one.name != "figures"}
        return cls(**own, figures={name: value for name, value in row.items() if name not in own})

    def row(self) -> dict[str, Any]:
        """Return the epoch as a row of history.json."""
        content = asdict(self)
        return content | content.pop("figures")


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
            self.add(Epoch.of(row))

    def rows(self) -> list[dict[str, Any]]:
        """The epochs as JSON-able objects."""
        return [epoch.row() for epoch in self.epochs]

    def add(self, epoch: Epoch) -> None:
        """Records one epoch and writes everything."""
        self.epochs.append(epoch)
        if not self._kept:
            return
        with self._board.as_default(step=len(self.epochs)):
            for name, value in epoch.row().items():
                _scalar(name, value)
        self._board.flush()
        self.write()

    def keep(self, name: str, text: str) -> None:
        """Writes a file beside history.json, for the report."""
        if self._kept:
            write_atomic(self._folder / name, text + "\n")

    def write(self) -> None:
        """Writes history.json."""
        self.keep("history.json", json.dumps({"epochs": self.rows(), **self.extra}, indent=1))


def _scalar(name: str, value: float) -> None:
    """tf.summary.scalar without the tensorboard package: only reading the logs needs it."""
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
        data_class=1,  # DATA_CLASS_SCALAR
    )
    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
