"""What a model says of a photograph."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Zone = Literal["low", "review", "refer"]
Origin = Literal["server", "device"]
ZONES: tuple[Zone, ...] = get_args(Zone)


class InvalidResponseError(Exception):
    """An answer that makes no sense; the text says what was wrong with it."""


@dataclass(frozen=True)
class Answer:
    """One answer; `probability` is the calibrated P(melanoma), `threshold` the model's operating point."""

    probability: float
    decision: int
    threshold: float
    zone: Zone
    out_of_distribution: float
    model_version: str
    origin: Origin

    @property
    def preliminary(self) -> bool:
        """True for the on-device model's answer, which the server's replaces."""
        return self.origin == "device"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def checked(
    *,
    probability: float,
    decision: int,
    threshold: float,
    zone: str,
    out_of_distribution: float,
    model_version: str,
    origin: Origin,
) -> Answer:
    """An Answer, or InvalidResponseError where a number is out of range or the parts contradict each other."""
    for name, value in (("probability", probability), ("threshold", threshold)):
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            raise InvalidResponseError(f"{name} is {value}, not between 0 and 1")
    if not math.isfinite(out_of_distribution):
        raise InvalidResponseError(f"out_of_distribution is {out_of_distribution}")
    if zone not in ZONES:
        raise InvalidResponseError(f"zone is {zone!r}, not one of {', '.join(ZONES)}")
    if decision not in (0, 1):
        raise InvalidResponseError(f"decision is {decision}, not 0 or 1")
    if not model_version or len(model_version) > 64 or not model_version.isprintable():
        raise InvalidResponseError(f"model_version is {model_version[:64]!r}")
    return Answer(probability, decision, threshold, zone, out_of_distribution, model_version, origin)
