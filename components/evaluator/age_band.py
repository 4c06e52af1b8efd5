"""Age bands: single years would make slices too small to judge."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

AGE_BAND: Final = "age_band"
UNKNOWN: Final = "unknown"
EDGES: Final = (30, 45, 60, 75)


def age_band(age: float | None) -> str:
    """Return the band of an age in years, e.g. ``45-59``; ``unknown`` for a missing one."""
    if age is None or math.isnan(age):
        return UNKNOWN
    if age < EDGES[0]:
        return f"under {EDGES[0]}"
    for low, high in pairwise(EDGES):
        if age < high:
            return f"{low}-{high - 1}"
    return f"{EDGES[-1]} and over"
