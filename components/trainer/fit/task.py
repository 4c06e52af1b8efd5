"""What a training is given: the splits, and what each training image is called."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        metadata: how metadata are told to the network; None = not at all.
        told: float32 [n, width], metadata of the training pictures; width 0 without them.
        soft: float32 [n, classes], a teacher's answers to the training pictures; width 0 without one.
    """

    classes: Classes
    moments: Moments
    train: Split
    evaluation: Split
    labels: npt.NDArray[np.int32]
    class_weights: Floats
    metadata: Metadata | None
    told: Floats
    soft: Floats

    @property
    def given(self) -> tuple[Classes, Moments, Split, Split, npt.NDArray[np.int32], Floats]:
        """What every strategy is given."""
        return self.classes, self.moments, self.train, self.evaluation, self.labels, self.class_weights

    def only(self, rows: npt.NDArray[np.int64]) -> Task:
        """The same problem with some of the training pictures; they are read into memory."""
        return replace(
            self,
            train=self.train.only(rows),
            labels=self.labels[rows],
            told=self.told[rows],
            soft=self.soft[rows],
        )
