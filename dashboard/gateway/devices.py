"""What devices send: sign-on, heartbeats, settled examinations. Every record may come twice."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select, update

from core.records.examination import Examination as DeviceExamination
from core.records.examination import ExaminationAnswer
from core.records.heartbeat import Heartbeat as DeviceHeartbeat
from core.records.prediction import ANSWER_FIELDS
from dashboard import clock
from dashboard.access import address, bearer
from dashboard.database.tables import Device, Examination, Heartbeat, Prediction
from dashboard.faults import FaultError, Problem
from dashboard.field.recorder import QueueFullError, claim, touch
from dashboard.page import REFUSALS
from dashboard.security.roles import Bearer
from dashboard.services import Using

router = APIRouter(prefix="/api/v1", tags=["devices"])

Reporter = Annotated[Bearer, Depends(bearer("report"))]
DeviceId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
AHEAD = clock.DAY


class EnrolmentRequest(BaseModel):
    """A device's first words."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    code: str = Field(min_length=8, max_length=64)
    certificate_request: str = Field(
        "", max_length=20_000, description="PEM; answered only where an authority is set up"
    )
    software: str = Field("", max_length=64)


class Enrolment(BaseModel):
    """What a device gets."""

    token: str


class Taken(BaseModel):
    """What became of a record."""

    status: str = Field(description="new, or known")


@router.post("/devices/enroll", response_model=Enrolment, responses=REFUSALS)
def enroll(request: Request, using: Using, body: EnrolmentRequest) -> Enrolment:
    """Sign a device on with its one-time code; its earlier tokens end."""
    place = address(request)
    key = f"device {body.device_id}"
    wait = using.guard.wait(key, place)
    if wait:
        raise FaultError(429, "too many wrong codes", {"Retry-After": str(wait)})
    with using.database.write() as session:
        by = using.tokens.use_code(session, body.code, body.device_id)
        if by is not None:
            using.tokens.revoke_all(session, body.device_id)
            token = using.tokens.issue(
                session, name=body.device_id, scopes=("predict", "report"), device_id=body.device_id, by=by
            )
            touch(session, body.device_id, clock.now())
            using.audit.add(
                session, body.device_id, "device.enrol", body.device_id, code_by=by, address=place
            )
    if by is None:
        using.guard.failed(key, place)
        raise FaultError(
            403, "the code is wrong, used, too old, or another device's: ask an administrator for a new one"
        )
    return Enrolment(token=token)


@router.post("/devices/{device_id}/heartbeat", response_model=Taken, responses=REFUSALS)
def heartbeat(using: Using, caller: Reporter, device_id: DeviceId, body: DeviceHeartbeat) -> Taken:
    """Take a sign of life; the same again changes nothing."""
    _own(caller, device_id, body.device_id)
    _storable(body)
    now, sent = clock.now(), clock.of(body.sent_at)
    # A device without a trusted clock is timed by its arrival.
    at = sent if body.clock_trusted and abs(sent - now) < AHEAD else now
    depth = body.queue.waiting
    errors = len(body.notices)
    with using.database.write() as session:
        touch(session, device_id, now)
        if session.get(Heartbeat, (device_id, at)) is not None:
            return Taken(status="known")
        session.add(
            Heartbeat(
                device_id=device_id, at=at, queue_depth=depth, temperature=body.temperature_c, errors=errors
            )
        )
        # The session writes the heartbeat before it asks: there is always a newest one.
        newest = session.scalar(select(func.max(Heartbeat.at)).where(Heartbeat.device_id == device_id))
        if newest == at:
            session.execute(
                update(Device)
                .where(Device.id == device_id)
                .values(
                    model_version=body.versions.model,
                    software=body.versions.software,
                    queue_depth=depth,
                    temperature=body.temperature_c,
                    errors=errors,
                    heartbeat=body.model_dump(mode="json", by_alias=True),
                )
            )
    return Taken(status="new")


@router.put(
    "/examinations/{examination_id}",
    response_model=Taken,
    responses={
        **REFUSALS,
        201: {"model": Taken, "description": "it is new"},
        409: {"model": Problem, "description": "another record has this id"},
    },
)
def examination(
    using: Using,
    caller: Reporter,
    examination_id: Annotated[str, Path(pattern=r"^[\x21-\x2e\x30-\x7e]{1,128}$")],
    body: DeviceExamination,
) -> JSONResponse:
    """Take a settled examination; the same again changes nothing."""
    _own(caller, body.device_id)
    _storable(body)
    if body.id != examination_id:
        raise FaultError(422, "id: differs from the address")
    document = body.model_dump(mode="json", by_alias=True)
    digest = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    # A device whose clock is known to be wrong is dated by ours, as its heartbeats are.
    at = min(clock.of(body.captured_at), clock.now() + AHEAD) if body.clock_trusted else clock.now()
    with using.database.write() as session:
        known = session.get(Examination, examination_id)
        if known is None:
            touch(session, body.device_id, clock.now())
            session.add(
                Examination(
                    id=examination_id,
                    device_id=body.device_id,
                    at=at,
                    state=body.state,
                    digest=digest,
                    document=document,
                    code=body.code,
                    number=body.number,
                )
            )
        elif known.device_id == body.device_id and known.state == "refused" and body.state == "answered":
            # Somebody asked again on the device, and this time there was an answer.
            known.state, known.digest, known.document, at = body.state, digest, document, known.at
        elif known.digest != digest or known.device_id != body.device_id:
            raise FaultError(409, "another record has this id already; the first one stays")
        else:
            at = known.at
        if body.answer is None:
            claim(session, [(examination_id, body.device_id)])
    # Also where the record is known: its answer may not have come to disk the first time. The recorder alone decides
    # whether the model server's record was there first: between two transactions it may come at any moment.
    if body.answer is not None:
        try:
            using.recorder.put([_answer(body, body.answer, at)]).result(timeout=30)
        except (QueueFullError, TimeoutError) as error:
            raise FaultError(503, f"the answer is not on disk yet: {error}", {"Retry-After": "5"}) from None
    status, code = ("new", 201) if known is None else ("known", 200)
    return JSONResponse(Taken(status=status).model_dump(), status_code=code)


def _answer(body: DeviceExamination, answer: ExaminationAnswer, at: int) -> Prediction:
    return Prediction(
        request_id=body.id,
        row=0,
        at=at,
        origin="device",
        version=answer.model_version,
        device_id=body.device_id,
        **answer.model_dump(include=set(ANSWER_FIELDS)),
        sha256=body.image.sha256,
        width=body.image.width,
        height=body.image.height,
    )


def _own(caller: Bearer, *device_ids: str) -> None:
    if any(caller.device_id != device_id for device_id in device_ids):
        raise FaultError(403, f"this token belongs to {caller.device_id or 'no device'}")


def _storable(body: BaseModel) -> None:
    if "\\u0000" in body.model_dump_json():
        raise FaultError(422, "the record holds a NUL character")
