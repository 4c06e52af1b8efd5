"""How large an example is, and the facts its parts share."""

from __future__ import annotations

from dataclasses import dataclass

SITES = ("back", "abdomen", "lower extremity", "face", "chest")
THRESHOLD, LOW_BELOW = 0.18, 0.03


@dataclass(frozen=True)
class Size:
    """How much there is."""

    runs: int = 6
    images: int = 300
    predictions: int = 400
    devices: int = 12
    seed: int = 7
