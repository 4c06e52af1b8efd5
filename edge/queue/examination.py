"""One examination: a photograph, a code, and what became of it."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from core.records.examination import ID_PATTERN
from core.tfserving.answers import ModelAnswer

Origin = Literal["server", "device"]
# waiting: no server answered yet; answered: one did; refused: the server will not have this picture;
# damaged: the picture on the card cannot be read any more.
State = Literal["waiting", "answered", "refused", "damaged"]
# Sealed together with the picture.
HEADER = ("id", "number", "code", "captured_at", "clock_trusted", "width", "height", "sha256", "quality")
ID = re.compile(ID_PATTERN)


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


def new_id() -> str:
    """Return a fresh examination id: a random UUID, so that no device needs to ask anybody."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Examination:
    """What the device knows of one capture; the picture itself is asked for by id."""

    id: str
    number: int  # 1, 2, 3, ... in the order of the captures of this device
    code: str  # the patient's pseudonym, may be empty
    captured_at: float  # Unix seconds, by the device's clock
    clock_trusted: bool
    width: int
    height: int
    sha256: str
    quality: dict[str, Any] = field(default_factory=dict)
    state: State = "waiting"
    answer: Answer | None = None
    answered_at: float | None = None
    heat_map: bool = False
    trouble: str = ""
    tries: int = 0
    reported: bool = False
    set_aside: bool = False  # waits for a person: the servers fail on this photograph and not on others
    kept: bool = True  # False once retention took the picture away

    @property
    def settled(self) -> bool:
        """True when nothing more will come from a model server."""
        return self.state != "waiting"

    @property
    def advice(self) -> tuple[str, ...]:
        """What the quality check asked to change; not empty when the photograph was sent anyway."""
        return tuple(self.quality.get("advice", ()))

    def header(self) -> dict[str, Any]:
        """Return what is sealed together with the picture: enough to rebuild a lost queue."""
        return {name: getattr(self, name) for name in HEADER}
