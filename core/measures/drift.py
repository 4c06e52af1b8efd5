"""How far a histogram has moved from a reference: population stability index and Kolmogorov-Smirnov."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

STEADY, SHIFTED = 0.1, 0.25  # the usual limits of the population stability index

Counts = NDArray[np.floating] | NDArray[np.integer]


def population_stability_index(reference: Counts, seen: Counts) -> float | None:
    """Return the population stability index of two histograms; None if one is empty.

    Below 0.1 steady, above 0.25 shifted. To every bin of the reference half a count is added, to every bin of the
    other half a count times its share there: an empty bin does not decide alone, and equal shares stay near 0
    however few were seen.
    """
    if reference.sum() <= 0 or seen.sum() <= 0:
        return None
    expected = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    weight = 0.5 * len(seen)
    actual = (seen + weight * expected) / (seen.sum() + weight)
    return float(((actual - expected) * np.log(actual / expected)).sum())


def kolmogorov_smirnov(reference: Counts, seen: Counts) -> tuple[float, float] | None:
    """Return the largest distance of two histograms' cumulative shares, and its asymptotic p-value.

    Counts in bins hide differences inside a bin, so the distance is a lower bound. None if one is empty.
    """
    m, n = float(reference.sum()), float(seen.sum())
    if m <= 0 or n <= 0:
        return None
    distance = float(np.abs(np.cumsum(reference) / m - np.cumsum(seen) / n).max())
    scaled = distance * (math.sqrt(m * n / (m + n)) + 0.12 + 0.11 / math.sqrt(m * n / (m + n)))
    if scaled < 0.2:
        return distance, 1.0
    p = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))
    return distance, min(1.0, max(0.0, p))
