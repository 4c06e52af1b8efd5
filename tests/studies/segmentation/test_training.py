"""Training of the U-Net: an interruption changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.trainer.fit.backup import Backup
from components.trainer.fit.history import Epoch, History
from components.trainer.progress import Progress
from studies.segmentation import training
from studies.segmentation.config import SegmentationConfig
from studies.segmentation.pairs import Loaded


class StoppedError(Exception):
    """The machine went away."""


@pytest.mark.slow  # the Trainer's own resuming, of the same loop, is looked at each time
def test_a_resumed_training_ends_with_the_same_weights(loaded: Loaded, tmp_path: Path) -> None:
    config = SegmentationConfig(height=32, width=48, depth=1, filters=2, epochs=3, batch_size=8, dropout=0.5)

    class Stopping(History):
        def add(self, epoch: Epoch) -> None:
            super().add(epoch)
            if len(self.epochs) == 3:
                raise StoppedError

    def losses(history: History) -> list[float]:
        return [row["loss"] for row in history.rows()]

    one, other = (History(tmp_path / name) for name in ("whole", "resumed"))
    whole = training.train(config, loaded, loaded, progress=Progress(), history=one)
    backup = Backup(tmp_path / "backup.npz")
    with pytest.raises(StoppedError):
        training.train(
            config, loaded, loaded, progress=Progress(), backup=backup, history=Stopping(tmp_path / "stopped")
        )
    resumed = training.train(config, loaded, loaded, progress=Progress(), backup=backup, history=other)
    assert losses(other) == losses(one)
    assert len(losses(one)) == 3
    for kept, again in zip(
        whole.segmenter.model.get_weights(), resumed.segmenter.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(kept, again)
