"""Where a staged training stands, and how far it is to go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from components.trainer.config import TrainerConfig
from components.trainer.settings import StageConfig


@dataclass
class Tally:
    """What has been counted since the last evaluation."""

    steps: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0


@dataclass
class Position:
    """Where training stands; everything a resumed run needs besides the arrays."""

    stage: int = 0
    epoch: int = 0
    step: int = 0
    over: bool = False
    spent: float = 0.0
    stage_spent: float = 0.0
    best: float = -math.inf
    best_epoch: int = 0
    fallen: float = 1.0
    fallen_best: float = -math.inf
    fallen_waited: int = 0
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Plan:
    """One stage's length: steps an epoch, steps in all, and seconds (None = as long as it takes)."""

    number: int
    stage: StageConfig
    per_epoch: int
    steps: int
    budget: float | None

    def along(self, position: Position) -> float:
        """Share of the stage that is over, by steps or by time, whichever is further."""
        by_time = 0.0 if self.budget is None else position.stage_spent / max(self.budget, 1e-3)
        return max(position.step / self.steps, by_time)

    def left(self, stages: Sequence[StageConfig], position: Position) -> float:
        """Estimated seconds to the end of `stages`, this one first: a stage costs its epochs times its pixels."""
        costs = [stage.epochs * stage.size**2 for stage in stages]
        done = costs[0] * (1.0 if position.over else min(self.along(position), 1.0))
        return position.stage_spent / max(done, 1e-9) * (sum(costs) - done)


@dataclass(frozen=True)
class Part:
    """Which of several trainings of one run this is: its stages are counted on from those before it."""

    number: int
    name: str

    def stages(self, config: TrainerConfig) -> range:
        """The numbers of its stages in the run's history."""
        count = len(config.stages)
        return range(self.number * count, (self.number + 1) * count)


WHOLE: Final = Part(0, "")
