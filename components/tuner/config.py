"""What is varied, how often, and how much of a training each trial gets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.trainer.config import TrainerConfig
from core.settings import Frozen


class Range(Frozen):
    """A number between two others."""

    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    log: bool = Field(default=False, description="draw evenly over the logarithm: for learning rates, decays")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low={self.low} must be below high={self.high}: change one of them")
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low} with log=true: give a low above 0")
        return self


class Choice(Frozen):
    """One of some values."""

    values: tuple[bool | int | float | str, ...] = Field(
        min_length=2, description="the values, all of one kind"
    )

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        kinds = {type(value).__name__ for value in self.values}
        if len(kinds) > 1:
            raise ValueError(
                f"values={list(self.values)}: give values of one kind, these are {', '.join(sorted(kinds))}"
            )
        return self


class TunerConfig(Frozen):
    """A search for better settings before the training; left out of a run's configuration = no search."""

    algorithm: Literal["bayesian", "random"] = Field(
        default="bayesian",
        description="bayesian: a Gaussian process proposes; random: independent draws, better for few trials",
    )
    trials: int = Field(default=12, ge=1, le=1000, description="how many settings are tried")
    effort: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.25, description="share of the configured epochs, and of max_minutes, that a trial trains"
    )
    space: dict[str, Annotated[Range | Choice, Field(union_mode="smart")]] = Field(
        min_length=1,
        description="what is varied: dotted keys of the trainer's configuration, each {low, high, log} or {values}",
    )


def ends(config: TrainerConfig, settings: TunerConfig) -> tuple[TrainerConfig, ...]:
    """The trainer's configuration with the ends of every range and with all values, one at a time.

    Raises:
        ValueError: a key that the trainer does not have, or a value that it does not take.
    """
    return tuple(
        config.tuned({key: value})
        for key, one in settings.space.items()
        for value in (one.values if isinstance(one, Choice) else (one.low, one.high))
    )
