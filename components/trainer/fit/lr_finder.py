"""Learning-rate finder: the loss while the rate grows, and the rates to choose from it.

Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import Field

from core.settings import Fraction, Frozen

FILE_NAME: Final = "lr_finder.json"  # in the run's folder, for the report


class FinderConfig(Frozen):
    """The range of rates tried, and when the test ends."""

    lowest: float = Field(1e-7, gt=0, description="rate of the first step")
    highest: float = Field(1.0, gt=0, description="rate of the last step")
    steps: int = Field(
        100, ge=10, le=10_000, description="steps, evenly spread over the logarithm of the rate"
    )
    smoothing: Fraction = Field(0.9, description="decay of the moving average that the loss is read from")
    diverged: float = Field(4.0, gt=1.0, description="stop at this many times the lowest smoothed loss")
    choose: Literal["nothing", "steepest", "highest"] = Field(
        "nothing",
        description="nothing: only the plot; steepest: the peak rate of the backbone is where the loss fell "
        "fastest; highest: a tenth of where it was lowest. The head's keeps its proportion",
    )


@dataclass(frozen=True)
class Curve:
    """What the range test saw: data of the plot, and what is read from it."""

    rates: tuple[float, ...]  # of the steps made
    losses: tuple[float, ...]  # of those steps' batches
    smoothed: tuple[float, ...]  # the moving average of the losses, its start corrected for bias
    diverged: bool  # whether the loss exploded before the highest rate was reached
    steepest: float  # where the smoothed loss fell fastest: a peak rate for a constant schedule
    highest: float  # a tenth of where it was lowest: the upper end for cyclic schedules


def find(config: FinderConfig, step: Callable[[float], float]) -> Curve:
    """Run the range test.

    `step` trains on one new batch at the given rate and returns the loss before the update. The weights are spoilt
    afterwards: the caller restores them.

    Raises:
        ValueError: a range that is none, or a loss that was not finite from the beginning.
    """
    if config.lowest >= config.highest:
        raise ValueError(f"lowest={config.lowest} must be below highest={config.highest}: change one of them")
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average, exploded = 0.0, False
    for rate in np.geomspace(config.lowest, config.highest, config.steps).tolist():
        loss = float(step(rate))
        if not math.isfinite(loss):
            exploded = True
            break
        average = config.smoothing * average + (1.0 - config.smoothing) * loss
        rates.append(rate)
        losses.append(loss)
        smoothed.append(average / (1.0 - config.smoothing ** len(losses)))
        if smoothed[-1] > config.diverged * min(smoothed) > 0:
            exploded = True
            break
    if len(rates) < 2:
        raise ValueError(
            f"the loss is not finite at the lowest rate, {config.lowest:g}: check the data and loss"
        )
    slopes = np.gradient(np.array(smoothed), np.log(rates))
    # What comes after the lowest point is the way up: no rate of it is worth recommending.
    lowest = int(np.argmin(smoothed))
    steepest = int(np.argmin(slopes[: max(lowest, 1)]))
    return Curve(tuple(rates), tuple(losses), tuple(smoothed), exploded, rates[steepest], rates[lowest] / 10)
