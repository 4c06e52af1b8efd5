"""POST /api/v1/predict: one or many images in, one answer each."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Header, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from core.heatmap import paint
from core.images.decode import ImageRefusedError
from core.images.normalise import normalise
from core.records.prediction import ANSWER_FIELDS
from core.tfserving.answers import ModelAnswer
from dashboard import clock
from dashboard.access import either
from dashboard.counters import PREDICTIONS
from dashboard.database.tables import Prediction
from dashboard.faults import FaultError, Problem
from dashboard.field.features import ImageFacts, image_facts
from dashboard.field.recorder import QueueFullError, add_hours
from dashboard.page import REFUSALS
from dashboard.security.roles import Bearer, Person
from dashboard.services import Services, Using

router = APIRouter(prefix="/api/v1", tags=["gateway"])

MAP_SIDE = 448


class Predicted(BaseModel):
    """The answer to one image. Not a diagnosis."""

    model_config = ConfigDict(frozen=True)

    file_name: str = Field(description="as the caller named it")
    sha256: str
    probability: float = Field(description="calibrated P(melanoma)")
    decision: int = Field(description="1 where probability >= threshold")
    zone: str = Field(description="low, review or refer")
    threshold: float = Field(description="the operating point stored in the model")
    out_of_distribution: float = Field(description="1 where the image is not a dermoscopic one")
    model_version: str
    heat_map: str | None = Field(
        None, description="data: URL of a JPEG, where asked for and the model can say"
    )


class PredictAnswer(BaseModel):
    """The answers, in the order of the images."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    model: str
    latency_ms: float = Field(description="of the model server, as the gateway saw it")
    predictions: list[Predicted]


@router.post(
    "/predict",
    response_model=PredictAnswer,
    responses={
        **REFUSALS,
        400: {"model": Problem, "description": "the body is not a multipart form"},
        413: {"model": Problem, "description": "too many images, or too large a body"},
        502: {"model": Problem, "description": "the model server's answer makes no sense"},
        503: {"model": Problem, "description": "the model server is away or busy"},
        504: {"model": Problem, "description": "the model server took too long"},
    },
)
async def predict(
    using: Using,
    caller: Annotated[Person | Bearer, Depends(either("viewer", "predict"))],
    image: Annotated[list[UploadFile], File(description="JPEG or PNG; repeat the field for several")],
    heat_map: Annotated[bool, Form(description="also where the model looked")] = False,
    csrf: Annotated[str, Form(description="only for calls from a page")] = "",
    x_request_id: Annotated[str, Header(max_length=128, pattern=r"^[\x21-\x7e]*$")] = "",
) -> JSONResponse:
    """Ask the model about one or many images."""
    del csrf
    settings = using.settings
    if len(image) > settings.predict_max_images:
        raise FaultError(
            413, f"{len(image)} images in one request, at most {settings.predict_max_images} are possible"
        )
    sent = [await one.read() for one in image]
    looked_at = await run_in_threadpool(_look, using, sent)
    facts, data = [one for one, _ in looked_at], [one for _, one in looked_at]
    device = caller.device_id if isinstance(caller, Bearer) else None
    request_id = x_request_id or uuid.uuid4().hex
    begun = time.perf_counter()
    try:
        rows = await using.model_server.predict(data, request_id, device)
    except FaultError:
        PREDICTIONS.labels("failed").inc(len(data))
        await run_in_threadpool(_failed, using, len(data))
        raise
    latency = round((time.perf_counter() - begun) * 1000, 2)
    PREDICTIONS.labels("answered").inc(len(data))
    now = clock.now()
    answers = [
        Prediction(
            request_id=request_id,
            row=number,
            at=now,
            origin="gateway",
            version=row.model_version[:64],
            device_id=device,
            latency_ms=latency,
            **{name: getattr(row, name) for name in ANSWER_FIELDS},
            **asdict(fact),
        )
        for number, (row, fact) in enumerate(zip(rows, facts, strict=True))
    ]
    try:
        await asyncio.wrap_future(using.recorder.put(answers))
    except QueueFullError as error:
        raise FaultError(503, str(error), {"Retry-After": "5"}) from None
    maps = await _maps(using, data, rows, request_id) if heat_map else [None] * len(data)
    answer = PredictAnswer(
        request_id=request_id,
        model=settings.model_name,
        latency_ms=latency,
        predictions=[
            Predicted(
                file_name=(one.filename or "")[:200], sha256=fact.sha256, heat_map=painted, **asdict(row)
            )
            for one, fact, row, painted in zip(image, facts, rows, maps, strict=True)
        ],
    )
    return JSONResponse(answer.model_dump(mode="json"), headers={"X-Request-Id": request_id})


def _look(using: Services, data: list[bytes]) -> list[tuple[ImageFacts, bytes]]:
    """Facts of each image as it was sent, and the bytes that the model is asked with."""
    max_bytes, max_pixels = using.settings.predict_max_bytes, using.settings.predict_max_pixels
    result = []
    for number, one in enumerate(data):
        try:
            facts = image_facts(one, max_bytes=max_bytes, max_pixels=max_pixels)
            result.append((facts, normalise(one, max_bytes=max_bytes, max_pixels=max_pixels).data))
        except ImageRefusedError as error:
            PREDICTIONS.labels("refused").inc()
            raise FaultError(
                413 if error.reason == "too_large" else 422, f"image[{number}] {error}"
            ) from None
    return result


def _failed(using: Services, images: int) -> None:
    hour = clock.now() // clock.HOUR * clock.HOUR
    with using.database.write() as session:
        add_hours(session, {(hour, ""): {"failures": images}})


async def _maps(
    using: Services, data: list[bytes], rows: list[ModelAnswer], request_id: str
) -> list[str | None]:
    result: list[str | None] = []
    for one, row in zip(data, rows, strict=True):
        heat = await using.model_server.explain(one, request_id, row.model_version)
        painted = await run_in_threadpool(paint, one, heat, MAP_SIDE) if heat is not None else None
        result.append(f"data:image/jpeg;base64,{base64.b64encode(painted).decode()}" if painted else None)
    return result
