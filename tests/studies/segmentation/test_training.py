"""Training of the U-Net: an interruption changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.trainer.fit.backup import Backup
from components.trainer.progress import Progress
from studies.segmentation import training
from studies.segmentation.config import SegmentationConfig
from studies.segmentation.pairs import Loaded


class StoppedError(Exception):
    """The machine went away."""


def test_a_resumed_training_ends_with_the_same_weights(loaded: Loaded, tmp_path: Path) -> None:
    config = SegmentationConfig(height=32, width=48, depth=1, filters=2, epochs=3, batch_size=8, dropout=0.5)

    def stop(history: list[training.Row]) -> None:
        if len(history) == 3:
            raise StoppedError

    whole = training.train(config, loaded, None, progress=Progress())
    backup = Backup(tmp_path / "backup.npz")
    with pytest.raises(StoppedError):
        training.train(config, loaded, None, progress=Progress(), backup=backup, listener=stop)
    resumed = training.train(config, loaded, None, progress=Progress(), backup=backup)
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in whole.history]
    for one, other in zip(
        whole.segmenter.model.get_weights(), resumed.segmenter.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
