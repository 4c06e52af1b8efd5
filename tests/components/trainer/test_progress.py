"""What training says while it works."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest

from components.trainer import progress
from components.trainer.fit.history import Scores
from components.trainer.fit.loop import Loop, StagePlan, TrainState
from components.trainer.progress import Progress, speed
from components.trainer.settings import OptimiserConfig


class _Learner:
    def step(self, _batch: object, _factor: float) -> float:
        return 0.5

    def evaluate(self) -> Scores:
        return Scores(0.5, {}, "")

    def weights(self) -> list[np.ndarray]:
        return []


@pytest.mark.parametrize(
    ("images_per_s", "shown"),
    [(320.0, "320 images/s"), (0.4, "0.4 images/s"), (9.9, "9.9 images/s")],
)
def test_a_slow_speed_is_not_shown_as_none(images_per_s, shown):
    assert speed(images_per_s) == shown


@pytest.mark.parametrize(("sees_images", "with_speed"), [(True, 2), (False, 0)])
def test_a_speed_is_shown_where_it_is_one_of_images(monkeypatch, sees_images, with_speed):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_TICKS", 0.0)
    stream = io.StringIO()
    plan = StagePlan(name="head 1 of 1", number=0, size=32, epochs=1, per_epoch=3, steps=3, costs=(1.0,))
    loop = Loop(_Learner(), OptimiserConfig(), 16, [], Progress(stream), sees_images=sees_images)
    loop.run(TrainState(stage=0), plan, itertools.repeat(None))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "head 1 of 1, step 1 of 3, loss 0.500"  # the first step builds its graph
    assert len(lines) == 3
    assert sum(line.endswith(" images/s") for line in lines) == with_speed
