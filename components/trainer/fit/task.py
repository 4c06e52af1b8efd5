"""What a training is given: the splits, and what each training image is called."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from components.trainer.data.metadata import Metadata
from components.trainer.data.records import Split
from components.trainer.model.classes import Classes
from components.trainer.model.network import Moments

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """One training problem.

    Attributes:
        classes: the head's outputs.
        moments: Transform's channel moments.
        train: the pictures trained on.
        evaluation: the pictures that select and stop.
        labels: int32 [n], class index of every training picture.
        class_weights: float32 [classes].
        metadata: how metadata become the network's second input; None = it has none.
        metadata_features: float32 [n, width], metadata of the training pictures; width 0 without them.
        soft: float32 [n, classes], a teacher's class probabilities of the training pictures; width 0 without one.
    """

    classes: Classes
    moments: Moments
    train: Split
    evaluation: Split
    labels: npt.NDArray[np.int32]
    class_weights: Floats
    metadata: Metadata | None = None
    metadata_features: Floats = field(default_factory=lambda: np.zeros([0, 0], np.float32))
    soft: Floats = field(default_factory=lambda: np.zeros([0, 0], np.float32))

    def __post_init__(self) -> None:
        """Give what was left out one row, of no width, an image."""
        for name in ("metadata_features", "soft"):
            if not getattr(self, name).size:
                object.__setattr__(self, name, np.zeros([len(self.labels), 0], np.float32))

    def only(self, rows: npt.NDArray[np.int64]) -> Task:
        """Return the same problem with some of the training pictures; they are read into memory."""
        return replace(
            self,
            train=self.train.only(rows),
            labels=self.labels[rows],
            metadata_features=self.metadata_features[rows],
            soft=self.soft[rows],
        )
