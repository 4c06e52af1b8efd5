"""The time budget of a training run, spread over its stages."""

from __future__ import annotations

import time
from collections.abc import Sequence

from components.trainer.settings import StageConfig


class Clock:
    """Seconds spent, those of an interrupted run included, and what is left for a stage.

    A stage's cost is taken as its epochs times its pixels. Where time suffices nothing changes; where it
    does not, the remaining stages are shortened in proportion, learning rates still falling to their end.
    """

    def __init__(self, max_minutes: float | None, spent: float = 0.0) -> None:
        self._limit = None if max_minutes is None else max_minutes * 60.0
        self._started = time.monotonic() - spent

    def spent(self) -> float:
        """Seconds since training began."""
        return time.monotonic() - self._started

    def share(self, stages: Sequence[StageConfig], number: int, done: float = 0.0) -> float | None:
        """Seconds for stage `number`, of what is left for it and the later ones; None = no limit.

        `done` seconds of the stage are over already, before an interruption; they are part of the answer.
        """
        if self._limit is None:
            return None
        costs = [stage.epochs * stage.size**2 for stage in stages[number:]]
        return max(self._limit - self.spent() + done, 0.0) * costs[0] / sum(costs)
