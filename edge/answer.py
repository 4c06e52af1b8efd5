"""What a model says of a photograph, as the device keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.tfserving.answers import ModelAnswer

Origin = Literal["server", "device"]


@dataclass(frozen=True)
class Answer(ModelAnswer):
    """A model's answer, where it comes from, and the limits of its zones.

    Attributes:
        origin: `server`, or `device` for the on-device model's.
        low_below: probabilities below it lie in the zone `low`; None if the model did not say.
        refer_from: probabilities from it on lie in the zone `refer`; None if the model did not say.
    """

    origin: Origin = "server"
    low_below: float | None = None
    refer_from: float | None = None

    @property
    def preliminary(self) -> bool:
        """True for the on-device model's answer, which the server's replaces."""
        return self.origin == "device"
