"""The stored threshold and the three zones: where a probability becomes advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.trainer.export.scores import Floats, Labels, wilson
from components.trainer.settings import ZonesConfig

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


def choose(targets: Labels, probabilities: Floats, sensitivity: float) -> OperatingPoint:
    """The highest specificity whose sensitivity is at least the wanted one.

    The threshold lies halfway between the lowest probability that must be called positive and the next one
    below, as float32, so that rounding in serving cannot move an eval image across it.
    """
    positives = np.sort(probabilities[targets == 1])[::-1]
    needed = int(np.ceil(sensitivity * len(positives) - 1e-9))
    lowest = float(positives[max(needed, 1) - 1])
    below = probabilities[probabilities < lowest]
    threshold = float(np.float32((lowest + float(below.max())) / 2 if len(below) else lowest))
    if threshold > lowest:
        threshold = lowest
    called = probabilities >= threshold
    true_positives = int(np.sum(called & (targets == 1)))
    true_negatives = int(np.sum(~called & (targets == 0)))
    negatives = int(np.sum(targets == 0))
    return OperatingPoint(
        threshold=threshold,
        sensitivity=true_positives / len(positives),
        specificity=true_negatives / negatives,
        sensitivity_interval=wilson(true_positives, len(positives)),
        specificity_interval=wilson(true_negatives, negatives),
    )


def zones(costs: ZonesConfig, threshold: float) -> Zones:
    """The limits at which the cheapest advice changes, for a calibrated probability.

    The operating point stays inside review: no lesion is called positive and put into the zone low, and none
    is called negative and put into refer.
    """
    delay = costs.missed_melanoma - costs.reviewed_melanoma
    low = costs.reviewed_benign / (delay + costs.reviewed_benign)
    saved = costs.referred_benign - costs.reviewed_benign
    refer = saved / (costs.reviewed_melanoma + saved)
    return Zones(low_below=min(low, threshold), refer_from=max(refer, threshold))


def zone_names(zones: Zones, probabilities: Floats) -> list[str]:
    """The zone of every probability."""
    return [LOW if p < zones.low_below else REFER if p >= zones.refer_from else REVIEW for p in probabilities]


def zone_table(zones: Zones, targets: Labels, probabilities: Floats) -> list[dict[str, Any]]:
    """Images and positives of eval in each zone."""
    names = np.array(zone_names(zones, probabilities))
    return [
        {
            "zone": name,
            "images": int(np.sum(names == name)),
            "positives": int(np.sum((names == name) & (targets == 1))),
        }
        for name in (LOW, REVIEW, REFER)
    ]
