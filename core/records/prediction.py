"""The prediction record: one image of one answered request, whoever answered it.

The model server writes it as a line of ``predictions.jsonl``, the gateway for each image it passed on, and a device's
examination holds the same fields of its answer.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.features import ZONES
from core.records.times import Moment

SCHEMA: Final = "melanosizer.prediction_record/1"
FILE_NAME = "predictions.jsonl"
# What the model says of an image. They stand on their own in a record, every other output below `outputs`.
ANSWER_FIELDS = ("probability", "decision", "threshold", "zone", "out_of_distribution")

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Colours = Annotated[tuple[Finite, Finite, Finite], Field(description="R, G, B, 0 to 255, of a reduced image")]


class _Written(BaseModel):
    # A reader is older or newer than the writer: a field it does not know is left out, never kept.
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class PredictedImage(_Written):
    """The image that was asked about."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the encoded bytes as sent")
    bytes: int = Field(ge=0, description="length of the encoded image")
    format: Literal["jpeg", "png"] | None = None
    width: int | None = Field(default=None, ge=1, description="pixels")
    height: int | None = Field(default=None, ge=1, description="pixels")
    channel_mean: Colours | None = None
    channel_std: Colours | None = None
    sharpness: Finite | None = Field(
        default=None, description="variance of the Laplacian; where it was measured"
    )
    unreadable: str | None = Field(default=None, description="why there are no statistics")
    data: str | None = Field(default=None, description="base64; only where the server is to keep images")


class PredictionRecord(_Written):
    """One image (or row) of one answered request."""

    schema_: Literal["melanosizer.prediction_record/1"] = Field(default=SCHEMA, alias="schema")
    time: Moment = Field(description="when the answer was ready, UTC")
    request_id: str = Field(description="the caller's x-request-id, or one the server made")
    row: int = Field(ge=0, description="index of the image in its request")
    rows: int = Field(ge=1, description="images in the request")
    origin: Literal["server", "gateway", "device"] = Field(
        default="server", description="who wrote the record"
    )
    device_id: str | None = Field(default=None, description="the device that asked, where it is known")
    model: str
    model_version: str = Field(pattern=r"^-?[0-9]{1,19}$", description="the version folder's name")
    signature: str
    latency_ms: float = Field(
        ge=0, allow_inf_nan=False, description="from admission to the answer, of the whole request"
    )
    caller: str = Field(description="address without port")
    entrypoint: Literal["GRPC", "REST"]
    probability: Finite | None = Field(default=None, description="calibrated P(melanoma)")
    decision: Literal[0, 1] | None = Field(default=None, description="1 if probability >= threshold")
    threshold: Finite | None = None
    zone: str | None = Field(default=None, description="low, review or refer")
    out_of_distribution: Finite | None = None
    outputs: dict[str, Any] = Field(default={}, description="every other output of the model, by its alias")
    image: PredictedImage | None = None

    @property
    def complete(self) -> bool:
        """Whether it holds a whole answer of a classifier, with values a page can draw."""
        answer = (self.probability, self.decision, self.threshold)
        return None not in answer and 0 <= (self.probability or 0) <= 1 and self.zone in ZONES

    def line(self) -> str:
        """Return it as one line of JSON without a line break; fields without a value are left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


def record_prediction(answer: dict[str, Any], **fields: Any) -> PredictionRecord:
    """Return the record of one image: the model's outputs by alias, and the record's other fields.

    Outputs of `ANSWER_FIELDS` stand on their own; a number among them that is not finite is left out.
    """
    rest = dict(answer)
    own = {name: rest.pop(name) for name in ANSWER_FIELDS if name in rest}
    for name, value in list(own.items()):
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            del own[name]
    return PredictionRecord.model_validate({**fields, **own, "outputs": rest})


def parse(line: str | bytes) -> PredictionRecord | None:
    """Return the record of a line; None for one that is damaged or of another form."""
    try:
        return PredictionRecord.model_validate_json(line)
    except ValidationError:
        return None
