"""The stored threshold and the three zones: where a probability becomes advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from core.measures.rates import Labels, Scores, rate_of

LOW, REVIEW, REFER = "low", "review", "refer"


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


class ZoneCosts(Protocol):
    """Costs of each advice, in units of one needless referral."""

    @property
    def missed_melanoma(self) -> float:
        """A melanoma in the zone low."""

    @property
    def reviewed_melanoma(self) -> float:
        """A melanoma in the zone review: a delay."""

    @property
    def reviewed_benign(self) -> float:
        """Another lesion in the zone review: a second look."""

    @property
    def referred_benign(self) -> float:
        """Another lesion in the zone refer."""


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


def zones(costs: ZoneCosts, threshold: float) -> Zones:
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
        LOW if p < limits.low_below else REFER if p >= limits.refer_from else REVIEW for p in probabilities
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
        for name in (LOW, REVIEW, REFER)
    ]
