"""Learning-rate schedules: the factor on the peak rate, as a pure function of the share of a stage."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from core.settings import Frozen

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Kind = Literal["constant", "step", "cosine", "cyclic", "plateau"]


class ScheduleConfig(Frozen):
    """The shape of the learning rate over one stage; rates are shares of the stage's peak."""

    kind: Kind = Field("cosine", description="constant | step | cosine | cyclic | plateau")
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.05, description="share of the stage in which the rate rises linearly from 0 to the peak"
    )
    final: Share = Field(
        0.01, description="lowest rate: cosine's end, cyclic's valleys, the floor of the others"
    )
    steps: int = Field(3, ge=1, description="step: equal parts of the stage, the rate falls between them")
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.1, description="step and plateau: what the rate is multiplied by when it falls"
    )
    cycles: int = Field(1, ge=1, description="cosine: restarts, of equal length; cyclic: triangles")
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="cosine and cyclic: peak of each cycle as a share of the one before"
    )
    patience: int = Field(3, ge=1, description="plateau: evaluations without a better score before a fall")
    least: float = Field(1e-4, ge=0.0, description="plateau: how much better counts as better")

    @model_validator(mode="after")
    def _something_is_left_to_fall_to(self) -> Self:
        if self.kind in ("cosine", "cyclic") and self.final >= 1.0:
            raise ValueError(
                f"final={self.final} with kind={self.kind}: give a final below 1, or kind: constant"
            )
        return self


def rate(config: ScheduleConfig, progress: float) -> float:
    """Factor on the peak rate after the share `progress` (0..1, clipped) of a stage.

    A plateau is constant here: its falls depend on the scores, see `Plateau`.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < config.warmup:
        return progress / config.warmup
    return _SHAPES[config.kind](config, (progress - config.warmup) / (1.0 - config.warmup))


def _constant(config: ScheduleConfig, along: float) -> float:  # noqa: ARG001 - one signature for all
    return 1.0


def _step(config: ScheduleConfig, along: float) -> float:
    falls = min(int(along * config.steps), config.steps - 1)
    return max(config.final, config.factor**falls)


def _cosine(config: ScheduleConfig, along: float) -> float:
    """Loshchilov and Hutter, SGDR, ICLR 2017."""
    number, inside = _cycle(config, along)
    return _between(config, number, 0.5 * (1.0 + math.cos(math.pi * inside)))


def _cyclic(config: ScheduleConfig, along: float) -> float:
    """Smith, Cyclical Learning Rates, WACV 2017: up and down again in straight lines."""
    number, inside = _cycle(config, along)
    return _between(config, number, 1.0 - abs(2.0 * inside - 1.0))


def _cycle(config: ScheduleConfig, along: float) -> tuple[int, float]:
    """Number of the cycle, and the share of it that is over; the stage's end belongs to the last one."""
    number = min(int(along * config.cycles), config.cycles - 1)
    return number, along * config.cycles - number


def _between(config: ScheduleConfig, number: int, share: float) -> float:
    peak = max(config.final, config.decay**number)
    return config.final + (peak - config.final) * share


_SHAPES: Final[dict[Kind, Callable[[ScheduleConfig, float], float]]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "cyclic": _cyclic,
    "plateau": _constant,
}


@dataclass
class Plateau:
    """The factor that falls when the score stops rising; one object a stage, `seen` once an evaluation."""

    config: ScheduleConfig
    factor: float = 1.0
    best: float = -math.inf
    waited: int = 0

    def seen(self, score: float) -> float:
        """Take in a score (higher is better; NaN is no better) and return the factor from now on."""
        if score > self.best + self.config.least:
            self.best, self.waited = score, 0
            return self.factor
        self.waited += 1
        if self.waited >= self.config.patience:
            self.factor = max(self.config.final, self.factor * self.config.factor)
            self.waited = 0
        return self.factor
