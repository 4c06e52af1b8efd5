"""One answered image, wherever it was answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What is kept of it; names are those of the predictions table."""

    request_id: str
    row: int
    at: int
    origin: str  # gateway, server or device
    version: str
    probability: float
    decision: int
    threshold: float
    zone: str
    device_id: str | None = None
    out_of_distribution: float | None = None
    latency_ms: float | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    brightness: float | None = None
    contrast: float | None = None
    redness: float | None = None
    sharpness: float | None = None
