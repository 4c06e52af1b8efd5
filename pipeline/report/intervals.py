"""Intervals that stay honest where a bootstrap does not: ten melanomas, all of them found."""

from __future__ import annotations

import math

from components.evaluator import metrics
from components.evaluator.metrics import Interval


def share(successes: int, total: int, confidence: float) -> Interval | None:
    """Return a share with Wilson's score interval (Wilson, 1927); None where there is nothing to count."""
    return metrics.share(successes, total, confidence) if total else None


def roc_area(area: float, positives: int, negatives: int, z: float) -> Interval:
    """Return an AUC with its score interval.

    Method 5 of Newcombe, Statistics in Medicine 25 (2006) 559-573: good down to a handful of
    positives, and not of width zero at an AUC of 1.

    Args:
        area: the measured AUC.
        positives: melanomas.
        negatives: other lesions.
        z: half-width in standard deviations, e.g. 1.96.
    """
    extra = (positives + negatives) / 2 - 1

    def distance(theta: float) -> float:
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(area - theta) - z * math.sqrt(theta * (1 - theta) * spread / (positives * negatives))

    return Interval(value=area, low=_root(distance, 0.0, area), high=_root(distance, 1.0, area))


def _root(function, far: float, near: float) -> float:  # type: ignore[no-untyped-def] # a local function
    """Return where ``function`` changes sign between ``far`` (positive) and ``near``, by bisection."""
    for _ in range(60):
        middle = (far + near) / 2
        if function(middle) > 0:
            far = middle
        else:
            near = middle
    return (far + near) / 2
