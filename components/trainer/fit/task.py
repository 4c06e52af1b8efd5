"""What a training is given: the splits, what each training image is called, and the context it runs in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.trainer.data.metadata import Metadata
from components.trainer.data.records import Split
from components.trainer.fit.backup import Backup
from components.trainer.fit.distribution import ONE, Workers
from components.trainer.fit.history import History
from components.trainer.model.classes import Classes
from components.trainer.model.network import Moments
from components.trainer.progress import Progress

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainContext:
    """Where a training keeps what it makes, who takes part in it, and who hears of it."""

    cache_dir: Path  # of decoded pictures, features and a teacher's answers
    history: History
    backup: Backup | None = None  # without one an interrupted training begins again
    progress: Progress = field(default_factory=Progress)
    workers: Workers = ONE


@dataclass(frozen=True)
class Task:
    """One training problem of n training pictures."""

    classes: Classes
    moments: Moments
    train: Split
    evaluation: Split  # selects and stops
    labels: npt.NDArray[np.int32]  # [n], class index
    class_weights: Floats  # [classes]
    metadata: Metadata | None = None  # the network's second input, if it has one
    metadata_features: Floats | None = None  # [n, width]
    soft: Floats | None = None  # [n, classes], a teacher's class probabilities

    def only(self, rows: npt.NDArray[np.int64]) -> Task:
        """Return the same problem with some of the training pictures; they are read into memory."""
        return replace(
            self,
            train=self.train.only(rows),
            labels=self.labels[rows],
            metadata_features=None if self.metadata_features is None else self.metadata_features[rows],
            soft=None if self.soft is None else self.soft[rows],
        )
