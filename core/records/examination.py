"""The examination: what a device tells the gateway of one photograph it has an answer for.

It has no room for a person's name. The same id again is the same record.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from core.features import Zone
from core.records.heartbeat import SCHEMA, DeviceId, Sent
from core.records.times import Moment

ADVICE = ("too_dark", "too_bright", "glare", "blurred", "no_lesion", "off_centre")
ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
STATES = ("answered", "refused", "damaged")

Finite = Annotated[float, Field(allow_inf_nan=False)]


class ExaminedImage(Sent):
    """The picture, which is not sent."""

    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="of the JPEG that was sent to the model server"
    )
    width: int = Field(ge=1, le=100_000, description="pixels")
    height: int = Field(ge=1, le=100_000, description="pixels")


class Quality(Sent):
    """What the device measured before it sent the picture; a measure it did not take is left out."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    focus: Finite | None = Field(default=None, description="variance of the Laplacian")
    luminance: Finite | None = Field(default=None, description="0 to 255")
    glare: Finite | None = Field(default=None, description="share of the picture, 0 to 1")
    lesion_share: Finite | None = Field(default=None, description="share of the picture, 0 to 1")
    lesion_contrast: Finite | None = None
    advice: tuple[Annotated[str, Field(max_length=32, json_schema_extra={"enum": list(ADVICE)})], ...] = (
        Field(default=(), max_length=16, description="not empty: it was sent in spite of it")
    )


class ExaminationAnswer(Sent):
    """What the model said."""

    probability: float = Field(ge=0, le=1, description="calibrated P(melanoma)")
    decision: Literal[0, 1]
    threshold: float = Field(ge=0, le=1)
    zone: Zone
    out_of_distribution: Finite
    model_version: str = Field(min_length=1, max_length=64)
    origin: Literal["server", "device"] = "server"


def _settled(schema: dict[str, Any]) -> None:
    """Only an answered examination holds an answer, and it is the server's."""
    answered = {"properties": {"answer": {"type": "object", "properties": {"origin": {"const": "server"}}}}}
    schema["allOf"] = [
        {
            "if": {"properties": {"state": {"const": "answered"}}},
            "then": answered,
            "else": {"properties": {"answer": {"type": "null"}}},
        }
    ]


class Examination(Sent):
    """A settled examination: PUT /api/v1/examinations/{id}."""

    model_config = ConfigDict(json_schema_extra=_settled)

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    id: str = Field(
        pattern=r"^[\x21-\x2e\x30-\x7e]{1,128}$",
        json_schema_extra={"pattern": ID_PATTERN},
        description="random UUID given by the device; also the x-request-id of its question to the model server",
    )
    device_id: DeviceId
    number: int = Field(
        default=0,
        ge=0,
        le=2**62,
        json_schema_extra={"minimum": 1},
        description="1, 2, ... in the order of captures",
    )
    code: str = Field(
        default="", max_length=64, description="the patient's pseudonym, may be empty; never a name"
    )
    captured_at: Moment
    clock_trusted: bool = Field(
        default=True, description="false if the clock was known to be wrong at the capture"
    )
    image: ExaminedImage
    quality: Quality | None = None
    state: str = Field(max_length=24, json_schema_extra={"enum": list(STATES)})
    answer: ExaminationAnswer | None = None
    answered_at: Moment | None = None
    trouble: str | None = Field(default=None, max_length=1000, description="why it was refused or is damaged")
