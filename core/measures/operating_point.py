"""The stored threshold and the three zones: where a probability becomes advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from core.features import ZONES
from core.measures.rates import Labels, Scores, rate_of
from core.settings import Frozen


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on the calibrated probability and what it gives on eval, with 95 % Wilson intervals."""

    threshold: float
    sensitivity: float
    specificity: float
    sensitivity_interval: tuple[float, float]
    specificity_interval: tuple[float, float]


@dataclass(frozen=True)
class Zones:
    """low below `low_below`, refer from `refer_from` on, review between them (calibrated probabilities)."""

    low_below: float
    refer_from: float


class ZonesConfig(Frozen):
    """Costs, in units of one needless referral, that place the limits between low, review and refer."""

    missed_melanoma: float = Field(default=40.0, gt=0, description="a melanoma in the zone low")
    reviewed_melanoma: float = Field(default=4.0, ge=0, description="a melanoma in the zone review: a delay")
    reviewed_benign: float = Field(
        default=0.3, ge=0, description="a benign lesion in the zone review: a second look"
    )
    referred_benign: float = Field(default=1.0, gt=0, description="a benign lesion in the zone refer")

    @model_validator(mode="after")
    def _review_is_between(self) -> Self:
        if not self.reviewed_melanoma < self.missed_melanoma:
            raise ValueError(
                f"reviewed_melanoma={self.reviewed_melanoma} must be less than "
                f"missed_melanoma={self.missed_melanoma}: lower the first or raise the second"
            )
        if not self.reviewed_benign < self.referred_benign:
            raise ValueError(
                f"reviewed_benign={self.reviewed_benign} must be less than "
                f"referred_benign={self.referred_benign}: lower the first or raise the second"
            )
        return self


def choose(targets: Labels, probabilities: Scores, sensitivity: float) -> OperatingPoint:
    """Return the threshold of the highest specificity whose sensitivity is at least the wanted one.

    The threshold lies halfway between the lowest probability that must be called positive and the next one
    below, as float32, so that rounding in serving cannot move an eval image across it. Raises ValueError for a single class.
    """
    positives = np.sort(probabilities[targets == 1])[::-1]
    if not len(positives) or len(positives) == len(targets):
        raise ValueError("an operating point needs positives and negatives")
    needed = int(np.ceil(sensitivity * len(positives) - 1e-9))
    lowest = float(positives[max(needed, 1) - 1])
    below = probabilities[probabilities < lowest]
    threshold = float(np.float32((lowest + float(below.max())) / 2 if len(below) else lowest))
    called = probabilities >= min(threshold, lowest)
    found, cleared = rate_of(called[targets == 1]), rate_of(~called[targets == 0])
    return OperatingPoint(
        threshold=min(threshold, lowest),
        sensitivity=found.value,
        specificity=cleared.value,
        sensitivity_interval=(found.low, found.high),
        specificity_interval=(cleared.low, cleared.high),
    )


def zones(costs: ZonesConfig, threshold: float) -> Zones:
    """Return the limits at which the cheapest advice changes, for a calibrated probability.

    The operating point stays inside review: no lesion is called positive and put into the zone low, and none
    is called negative and put into refer.
    """
    delay = costs.missed_melanoma - costs.reviewed_melanoma
    low = costs.reviewed_benign / (delay + costs.reviewed_benign)
    saved = costs.referred_benign - costs.reviewed_benign
    refer = saved / (costs.reviewed_melanoma + saved)
    return Zones(low_below=min(low, threshold), refer_from=max(refer, threshold))


def zone_names(limits: Zones, probabilities: Scores) -> list[str]:
    """Return the zone of every probability."""
    return [
        "low" if p < limits.low_below else "refer" if p >= limits.refer_from else "review"
        for p in probabilities
    ]


def zone_table(limits: Zones, targets: Labels, probabilities: Scores) -> list[dict[str, Any]]:
    """Return images and positives in each zone: rows of ``zone``, ``images``, ``positives``."""
    names = np.array(zone_names(limits, probabilities))
    return [
        {
            "zone": name,
            "images": int(np.sum(names == name)),
            "positives": int(np.sum((names == name) & (targets == 1))),
        }
        for name in ZONES
    ]
