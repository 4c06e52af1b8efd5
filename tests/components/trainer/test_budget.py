"""The time budget where it binds: on a clock on which every step takes a second and nothing else takes any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.trainer.fit import loop, staged
from components.trainer.fit.history import Scores
from components.trainer.settings import OptimiserConfig, StageConfig
from tests.support import trainer_arrays as arrays

# 64 pictures in batches of 16: four steps an epoch.
STAGES = (StageConfig(size=32, epochs=10), StageConfig(size=32, epochs=5))
CONFIGURED = [40, 20]


class Seconds:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps taken so far, by stage."""
    counts: list[int] = []
    seconds = Seconds()

    def counted(learner: staged.NetworkLearner) -> Callable[..., Any]:
        step = arrays.untraced_step(learner)
        counts.append(0)

        def taking_a_second(*arguments: Any) -> Any:
            counts[-1] += 1
            seconds.now += 1.0
            return step(*arguments)

        return taking_a_second

    monkeypatch.setattr(staged, "_compiled_step", counted)
    monkeypatch.setattr(staged.NetworkLearner, "evaluate", lambda _: Scores(0.5, {}, ""))
    monkeypatch.setattr(loop, "time", seconds)
    return counts


def config(max_minutes: float | None) -> Any:
    return arrays.CONFIG.model_copy(
        update={
            "stages": STAGES,
            "max_minutes": max_minutes,
            "optimiser": OptimiserConfig(body_learning_rate=3e-3, head_learning_rate=3e-3, final=0.01),
        }
    )


def test_stages_that_would_not_fit_end_early_with_their_rate_fallen(steps: list[int], tmp_path: Path) -> None:
    trained = arrays.train(config(max_minutes=0.5), tmp_path)
    assert steps == [20, 10]  # 30 s, shared by epochs
    assert len(trained.classifier.members) == len(STAGES)
    rows = trained.file("history.json")["epochs"]
    for number in range(len(STAGES)):
        rates = [row["learning_rate"] for row in rows if row["stage"] == number]
        assert max(rates) > 0.5
        assert rates == sorted(rates, reverse=True)
        # The last step is the one before the end: a twentieth and a tenth of the stage away from it.
        assert rates[-1] == pytest.approx(0.01, abs=0.03)


@pytest.mark.slow
def test_where_time_suffices_every_step_is_taken(steps: list[int], tmp_path: Path) -> None:
    trained = arrays.train(config(max_minutes=2.0), tmp_path)
    assert steps == CONFIGURED
    assert trained.file("history.json")["epochs"][-1]["learning_rate"] == pytest.approx(0.01, abs=0.03)


def test_a_budget_that_is_spent_already_leaves_every_stage_a_step(steps: list[int], tmp_path: Path) -> None:
    trained = arrays.train(config(max_minutes=1e-3), tmp_path)
    assert steps == [1, 1]
    assert len(trained.classifier.members) == len(STAGES)
