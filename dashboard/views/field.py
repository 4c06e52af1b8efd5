"""The field: what was answered, what came of it, and whether it drifts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field
from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from core.charts import performance, series
from dashboard import charts, clock
from dashboard.access import Reviewer, Viewer
from dashboard.database.tables import Hour, Prediction, Review
from dashboard.faults import invalid, missing
from dashboard.field.drift import Drift, drift
from dashboard.field.features import FEATURES
from dashboard.field.outcomes import FieldQuality, quality
from dashboard.page import ANSWERS, DONE, Page, Part, respond
from dashboard.services import Services, Using
from dashboard.views.forms import FormData, go

router = APIRouter(prefix="/field", tags=["field"])

ROWS = 50
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


class AnswerPage(Page):
    """One answer."""

    answer: Answered
    sha256: str | None
    contrast: float | None
    redness: float | None
    width: int | None
    height: int | None
    reviews: tuple[Past, ...]
    trained_on: bool = Field(
        description="this very image is in the training data of the version that answered"
    )
    may_review: bool


class QueuePage(Page):
    """Answers that wait for an outcome: the most dangerous zone first, oldest first."""

    answers: tuple[Answered, ...]
    waiting: int
    may_review: bool


class OutcomeForm(FormData):
    """What a clinician found."""

    outcome: Literal["melanoma", "benign", "unclear"]
    basis: Literal["histology", "follow-up", "expert view"] = "histology"
    comment: str = Field("", max_length=1000, description="about the lesion; never a name")


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
    from dashboard.database.tables import DataImage

    with using.database.read() as session:
        row = _found(session, number)
        reviews = session.scalars(
            select(Review).where(Review.prediction_id == number).order_by(Review.id.desc())
        ).all()
        record = using.registry.version(row.version)
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
        sha256=row.sha256,
        contrast=row.contrast,
        redness=row.redness,
        width=row.width,
        height=row.height,
        reviews=tuple(
            Past(at=one.at, who=one.who, outcome=one.outcome, basis=one.basis, comment=one.comment)
            for one in reviews
        ),
        trained_on=trained,
        may_review=person.may("reviewer"),
    )
    return respond(request, using, "answer.html", model)


@router.get("/review", response_model=QueuePage, responses=ANSWERS)
def queue(request: Request, using: Using, person: Viewer) -> Response:
    """Answers that wait for an outcome."""
    with using.database.read() as session:
        rows: list[Prediction] = []
        # Two walks along the index instead of one sort of everything that waits.
        for zone in ("refer", "review"):
            if len(rows) < 20:
                rows += session.scalars(
                    select(Prediction)
                    .where(Prediction.zone == zone, Prediction.outcome.is_(None))
                    .order_by(Prediction.at)
                    .limit(20 - len(rows))
                ).all()
        waiting = _waiting(session)
    model = QueuePage(
        title="Review queue",
        answers=tuple(_answered(row) for row in rows),
        waiting=waiting,
        may_review=person.may("reviewer"),
    )
    return respond(request, using, "review.html", model)


@router.post(
    "/predictions/{number}/outcome", response_class=RedirectResponse, status_code=303, responses=DONE
)
def enter(
    request: Request, using: Using, person: Reviewer, number: int, form: Annotated[OutcomeForm, Form()]
) -> RedirectResponse:
    """Enter what an examination found; an earlier outcome stays in the history."""
    if "@" in form.comment:
        raise invalid("comment: leave out addresses and names; this is kept with the answer")
    with using.database.write() as session:
        _found(session, number)
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
        session.execute(update(Prediction).where(Prediction.id == number).values(outcome=form.outcome))
        using.audit.add(
            session, person.name, "outcome.enter", f"answer {number}", outcome=form.outcome, basis=form.basis
        )
    using.pulse.tell("predictions")
    return go(
        "/field/review"
        if "/field/review" in request.headers.get("referer", "")
        else f"/field/predictions/{number}"
    )


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
