"""The field: what was answered, what came of it, and whether it drifts."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session

from core.charts import performance, series
from dashboard import charts, clock
from dashboard.access import Reviewer, Viewer
from dashboard.database.tables import DataImage, Examination, Hour, Prediction, Review
from dashboard.faults import FaultError, invalid, missing
from dashboard.field.drift import Drift, drift
from dashboard.field.features import FEATURES
from dashboard.field.outcomes import FieldQuality, quality
from dashboard.page import ANSWERS, DONE, Page, Part, of_kind, respond
from dashboard.services import Services, Using
from dashboard.views.forms import FormData, go, inside

router = APIRouter(prefix="/field", tags=["field"])

ROWS = 50
QUEUE_ROWS = 20
Days = Annotated[int, Query(ge=1, le=365)]
VersionName = Annotated[str, Query(pattern=r"^[0-9]{0,19}$")]


class Answered(Part):
    """One answer."""

    id: int
    at: int
    request_id: str
    row: int
    device_id: str | None
    origin: str
    version: str
    probability: float
    decision: int
    threshold: float
    zone: str
    out_of_distribution: float | None
    latency_ms: float | None
    brightness: float | None
    sharpness: float | None
    outcome: str | None


class Day(Part):
    """Counts of a day."""

    at: int
    answers: int
    referred: int
    reviewed: int


class FieldPage(Page):
    """Answers, outcomes and drift in short."""

    days: int
    version: str
    versions: tuple[str, ...]
    answers: int
    failures: int
    referred: float | None
    reviewed: float | None
    history: tuple[Day, ...]
    quality: FieldQuality
    waiting: int = Field(
        description="answers nobody has entered an outcome for, of the zones review and refer"
    )
    drift: tuple[Drift, ...]
    drift_of: str = Field(description="the version whose drift is shown")


class LogPage(Page):
    """The prediction log, newest first."""

    answers: tuple[Answered, ...]
    zone: str
    version: str
    device: str
    outcome: str
    next: str = Field(description="the place of the next, older page; empty at the end")


class Past(Part):
    """An outcome that was entered."""

    at: int
    who: str
    outcome: str
    basis: str
    comment: str


class Examined(Part):
    """The examination an answer belongs to, as the device's screen names it."""

    id: str
    device_id: str
    code: str = Field(description="the patient's pseudonym; may be empty")
    number: int = Field(description="1, 2, ... in the order of captures on the device")
    captured: int
    advice: tuple[str, ...] = Field(description="not empty: the photograph was sent in spite of it")


class AnswerPage(Page):
    """One answer."""

    answer: Answered
    examination: Examined | None
    sha256: str | None
    contrast: float | None
    redness: float | None
    width: int | None
    height: int | None
    picture: bool = Field(description="a small picture was kept")
    reviews: tuple[Past, ...]
    seen: int = Field(description="the newest outcome's number; 0 for none")
    trained_on: bool = Field(
        description="this very image is in the training data of the version that answered"
    )
    may_review: bool


class Waiting(Part):
    """An answer in the queue."""

    answer: Answered
    examination: Examined | None
    picture: bool
    seen: int


class QueueFilter(BaseModel):
    """Which answers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str = Field("", max_length=64, description="the examination's code, as the device shows it")
    number: int | None = Field(None, ge=0, le=2**62, description="its number")
    device: str = Field("", max_length=64)
    zone: Literal["", "refer", "review", "low"] = ""
    outcome: Literal["none", "any", "melanoma", "benign", "unclear"] = "none"
    since: date | None = None
    until: date | None = None
    skip: str = Field("", pattern=r"^[0-9,]{0,2000}$", description="answers passed over for now")
    page: int = Field(1, ge=1, le=100_000)

    @field_validator("since", "until", "number", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return None if value == "" else value  # a form sends its empty fields too

    @property
    def zones(self) -> tuple[str, ...]:
        """Return the zones to walk: somebody who looks for one examination wants it whatever its zone."""
        if self.zone:
            return (self.zone,)
        return ("refer", "review", "low") if self.code or self.number is not None else ("refer", "review")


class QueuePage(Page):
    """Answers for an outcome: the most dangerous zone first, oldest first."""

    answers: tuple[Waiting, ...]
    waiting: int = Field(
        description="answers nobody has entered an outcome for, of the zones review and refer"
    )
    total: int = Field(description="answers that match")
    page: int
    pages: int
    asked: QueueFilter
    may_review: bool


class OutcomeForm(FormData):
    """What a clinician found; `withdrawn` takes an outcome back that was entered by mistake."""

    outcome: Literal["melanoma", "benign", "unclear", "withdrawn"]
    basis: Literal["histology", "follow-up", "expert view"] = "histology"
    comment: str = Field("", max_length=1000, description="about the lesion; never a name")
    seen: int | None = Field(None, ge=0, description="the newest outcome's number on the page; 0 for none")
    back: str = Field("", max_length=2000, description="the page to go back to")


@router.get("", response_model=FieldPage, responses=ANSWERS)
def field(request: Request, using: Using, _: Viewer, days: Days = 30, version: VersionName = "") -> Response:
    """The field in short."""
    since = clock.now() - days * clock.DAY
    stable = using.registry.channels().stable or ""
    of = version or stable
    record = using.registry.version(of) if of else None
    with using.database.read() as session:
        day = Hour.hour // clock.DAY
        wanted = [
            Hour.hour >= since // clock.HOUR * clock.HOUR,
            *([Hour.version == version] if version else []),
        ]
        rows = session.execute(
            select(
                day,
                *(func.sum(one) for one in (Hour.answers, Hour.failures, Hour.referred, Hour.reviewed)),
            )
            .where(*wanted)
            .group_by(day)
            .order_by(day)
        ).all()
        found = quality(session, version or None, since)
        waiting = _waiting(session)
        drifts = drift(
            session,
            using.evidence,
            version=of,
            data_version=record.data_version if record else "",
            since=since,
        )
    answers, failures, referred, reviewed = (sum(int(row[i]) for row in rows) for i in (1, 2, 3, 4))
    history = tuple(
        Day(at=int(row[0]) * clock.DAY, answers=int(row[1]), referred=int(row[3]), reviewed=int(row[4]))
        for row in rows
    )
    model = FieldPage(
        title="Field",
        days=days,
        version=version,
        versions=tuple(using.registry.names()[:40]),
        answers=answers,
        failures=failures,
        referred=referred / answers if answers else None,
        reviewed=reviewed / answers if answers else None,
        history=history,
        quality=found,
        waiting=waiting,
        drift=tuple(drifts),
        drift_of=of,
    )
    extra: dict[str, Any] = {
        "volume": charts.timeline(
            "answers a day",
            "answers",
            {
                "answers": [(d.at, d.answers) for d in history],
                "referred": [(d.at, d.referred) for d in history],
            },
        ),
        "reliability": charts.place(performance.reliability(np.array(found.reliability)))
        if found.reliability
        else "",
        "pairs": {
            row.feature: charts.place(
                series.histogram(
                    FEATURES[row.feature].title,
                    [FEATURES[row.feature].label(i) for i in range(FEATURES[row.feature].bins)],
                    row.reference,
                    row.seen,
                )
            )
            for row in drifts
        },
        "titles": {name: feature.title for name, feature in FEATURES.items()},
    }
    return respond(request, using, "field.html", model, extra=extra)


@router.get("/predictions", response_model=LogPage, responses=ANSWERS)
def predictions(
    request: Request,
    using: Using,
    _: Viewer,
    zone: Annotated[str, Query(pattern=r"^(|low|review|refer)$")] = "",
    version: VersionName = "",
    device: Annotated[str, Query(max_length=64)] = "",
    outcome: Annotated[str, Query(pattern=r"^(|melanoma|benign|unclear)$")] = "",
    before: Annotated[str, Query(pattern=r"^([0-9]{1,15}-[0-9]{1,15})?$")] = "",
) -> Response:
    """The prediction log."""
    wanted: list[Any] = []
    for column, value in (
        (Prediction.zone, zone),
        (Prediction.version, version),
        (Prediction.device_id, device),
        (Prediction.outcome, outcome),
    ):
        if value:
            wanted.append(column == value)
    if before:
        at, number = (int(part) for part in before.split("-"))
        wanted.append(or_(Prediction.at < at, and_(Prediction.at == at, Prediction.id < number)))
    with using.database.read() as session:
        rows = session.scalars(
            select(Prediction)
            .where(*wanted)
            .order_by(Prediction.at.desc(), Prediction.id.desc())
            .limit(ROWS + 1)
        ).all()
    more = f"{rows[ROWS - 1].at}-{rows[ROWS - 1].id}" if len(rows) > ROWS else ""
    model = LogPage(
        title="Prediction log",
        answers=tuple(_answered(row) for row in rows[:ROWS]),
        zone=zone,
        version=version,
        device=device,
        outcome=outcome,
        next=more,
    )
    return respond(request, using, "predictions.html", model)


@router.get("/predictions/{number}", response_model=AnswerPage, responses=ANSWERS)
def answer(request: Request, using: Using, person: Viewer, number: int) -> Response:
    """One answer with what came of it."""
    with using.database.read() as session:
        row = _found(session, number)
        reviews = session.scalars(
            select(Review).where(Review.prediction_id == number).order_by(Review.id.desc())
        ).all()
        record = using.registry.version(row.version)
        examination = session.get(Examination, row.request_id)
        shown = _has_picture(using, session, row)
        trained = bool(
            record
            and row.sha256
            and session.scalar(
                select(DataImage.name)
                .where(
                    DataImage.sha256 == row.sha256,
                    DataImage.data_version == record.data_version,
                    DataImage.split == "train",
                )
                .limit(1)
            )
        )
    model = AnswerPage(
        title=f"Answer {number}",
        answer=_answered(row),
        examination=_examined(examination),
        sha256=row.sha256,
        contrast=row.contrast,
        redness=row.redness,
        width=row.width,
        height=row.height,
        picture=shown,
        seen=reviews[0].id if reviews else 0,
        reviews=tuple(
            Past(at=one.at, who=one.who, outcome=one.outcome, basis=one.basis, comment=one.comment)
            for one in reviews
        ),
        trained_on=trained,
        may_review=person.may("reviewer"),
    )
    return respond(request, using, "answer.html", model)


@router.get("/predictions/{number}/picture", response_model=None, responses=of_kind("image/jpeg"))
def picture(using: Using, _: Viewer, number: int) -> Response:
    """The small picture of an answer, where it was kept."""
    with using.database.read() as session:
        path = _picture(using, session, _found(session, number))
    if path is None:
        raise missing("no picture of this answer was kept")
    return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/review", response_model=QueuePage, responses=ANSWERS)
def queue(request: Request, using: Using, person: Viewer, asked: Annotated[QueueFilter, Query()]) -> Response:
    """Answers to enter an outcome for, found by the examination's code and number, device or day."""
    with using.database.read() as session:
        wanted = _wanted(asked)
        base = select(Prediction, Examination).outerjoin(Examination, Examination.id == Prediction.request_id)
        counted = {
            zone: session.scalar(
                select(func.count())
                .select_from(Prediction)
                .outerjoin(Examination, Examination.id == Prediction.request_id)
                .where(Prediction.zone == zone, *wanted)
            )
            or 0
            for zone in asked.zones
        }
        total = sum(counted.values())
        pages = max(1, -(-total // QUEUE_ROWS))
        page = min(asked.page, pages)
        offset = (page - 1) * QUEUE_ROWS
        rows: list[Any] = []
        # A walk along the index for each zone instead of one sort of everything that waits.
        for zone, count in counted.items():
            if offset < count and len(rows) < QUEUE_ROWS:
                rows += session.execute(
                    base.where(Prediction.zone == zone, *wanted)
                    .order_by(Prediction.at, Prediction.id)
                    .limit(QUEUE_ROWS - len(rows))
                    .offset(offset)
                ).all()
            offset = max(0, offset - count)
        numbers = [prediction.id for prediction, _ in rows]
        newest = session.execute(
            select(Review.prediction_id, func.max(Review.id))
            .where(Review.prediction_id.in_(numbers))
            .group_by(Review.prediction_id)
        )
        seen = {row[0]: row[1] for row in newest}
        model = QueuePage(
            title="Review queue",
            answers=tuple(
                Waiting(
                    answer=_answered(prediction),
                    examination=_examined(examination),
                    picture=_has_picture(using, session, prediction),
                    seen=seen.get(prediction.id, 0),
                )
                for prediction, examination in rows
            ),
            waiting=_waiting(session),
            total=total,
            page=page,
            pages=pages,
            asked=asked,
            may_review=person.may("reviewer"),
        )
    return respond(request, using, "review.html", model)


@router.post(
    "/predictions/{number}/outcome", response_class=RedirectResponse, status_code=303, responses=DONE
)
def enter(
    using: Using, person: Reviewer, number: int, form: Annotated[OutcomeForm, Form()]
) -> RedirectResponse:
    """Enter or correct what an examination found; earlier outcomes stay in the history."""
    if "@" in form.comment:
        raise invalid("comment: leave out addresses and names; this is kept with the answer")
    with using.database.write() as session:
        row = _found(session, number)
        newest = session.scalars(
            select(Review).where(Review.prediction_id == number).order_by(Review.id.desc()).limit(1)
        ).first()
        if form.seen is not None and form.seen != (newest.id if newest else 0):
            said = f"{newest.who} has entered {newest.outcome} by {newest.basis}" if newest else "it is gone"
            raise FaultError(
                409,
                f"nothing was changed: {said} since the page was made: look at /field/predictions/{number}",
            )
        if form.outcome == "withdrawn" and row.outcome is None:
            raise FaultError(409, "there is no outcome to withdraw")
        session.add(
            Review(
                prediction_id=number,
                at=clock.now(),
                who=person.name,
                outcome=form.outcome,
                basis=form.basis,
                comment=form.comment,
            )
        )
        row.outcome = None if form.outcome == "withdrawn" else form.outcome
        using.audit.add(
            session, person.name, "outcome.enter", f"answer {number}", outcome=form.outcome, basis=form.basis
        )
    using.pulse.tell("predictions")
    return go(inside(form.back) if form.back else f"/field/predictions/{number}")


def stamp(using: Services) -> object:
    """Changes with new answers."""
    with using.database.read() as session:
        return session.scalar(select(func.max(Prediction.id)))


def _waiting(session: Session) -> int:
    """How many answers wait, from the hourly counts and the outcomes entered: neither grows with a page."""
    asked = session.scalar(select(func.coalesce(func.sum(Hour.referred + Hour.reviewed), 0))) or 0
    known = session.scalar(
        select(func.coalesce(func.sum(case((Prediction.zone != "low", 1), else_=0)), 0)).where(
            Prediction.outcome.is_not(None)
        )
    )
    return max(0, int(asked) - int(known or 0))


def _found(session: Session, number: int) -> Prediction:
    row = session.get(Prediction, number) if 0 < number < 2**62 else None
    if row is None:
        raise missing(f"there is no answer {number}")
    return row


def _answered(row: Prediction) -> Answered:
    return Answered(**{name: getattr(row, name) for name in Answered.model_fields})


def _wanted(asked: QueueFilter) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if asked.outcome == "none":
        wanted.append(Prediction.outcome.is_(None))
    elif asked.outcome != "any":
        wanted.append(Prediction.outcome == asked.outcome)
    if asked.code:
        wanted.append(func.lower(Examination.code) == asked.code.strip().lower())
    if asked.number is not None:
        wanted.append(Examination.number == asked.number)
    if asked.device:
        wanted.append(Prediction.device_id == asked.device)
    if asked.since:
        wanted.append(Prediction.at >= clock.midnight(asked.since))
    if asked.until:
        wanted.append(Prediction.at < clock.midnight(asked.until) + clock.DAY)
    skipped = [int(number) for number in asked.skip.split(",") if number and len(number) < 19]
    if skipped:
        wanted.append(Prediction.id.not_in(skipped))
    return wanted


def _examined(found: Examination | None) -> Examined | None:
    if found is None:
        return None
    quality = found.document.get("quality")
    advice = quality.get("advice") if isinstance(quality, dict) else None
    return Examined(
        id=found.id,
        device_id=found.device_id,
        code=found.code,
        number=found.number,
        captured=found.at,
        advice=tuple(str(one) for one in advice) if isinstance(advice, list) else (),
    )


def _picture(using: Services, session: Session, row: Prediction) -> Path | None:
    """Return what the server's log kept of the image, else the test split's thumbnail of the very same bytes."""
    if row.sha256 is None:
        return None
    kept = using.tail.pictures.place(row.sha256)
    if kept.is_file():
        return kept
    known = session.execute(
        select(DataImage.data_version, DataImage.name).where(DataImage.sha256 == row.sha256).limit(1)
    ).first()
    return using.data_index.thumbnail(known.data_version, known.name) if known else None


def _has_picture(using: Services, session: Session, row: Prediction) -> bool:
    return _picture(using, session, row) is not None
