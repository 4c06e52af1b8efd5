"""Answers: the log of them, one with its outcome, and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from dashboard import clock
from dashboard.access import Reviewer, Viewer
from dashboard.database.connection import by_number
from dashboard.database.tables import DataImage, Examination, Prediction, Review
from dashboard.faults import conflict, invalid, present
from dashboard.page import ANSWERS, CHANGE, Page, Part, jpeg, of_kind, respond
from dashboard.services import Services, Using
from dashboard.views.forms import FormData, InForm, go, inside

router = APIRouter(prefix="/field", tags=["field"])

ROWS = 50


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


class OutcomeForm(FormData):
    """What a clinician found; `withdrawn` takes an outcome back that was entered by mistake."""

    outcome: Literal["melanoma", "benign", "unclear", "withdrawn"]
    basis: Literal["histology", "follow-up", "expert view"] = "histology"
    comment: str = Field("", max_length=1000, description="about the lesion; never a name")
    seen: int | None = Field(None, ge=0, description="the newest outcome's number on the page; 0 for none")
    back: str = Field("", max_length=2000, description="the page to go back to")


@router.get("/predictions", response_model=LogPage, responses=ANSWERS)
def predictions(
    request: Request,
    using: Using,
    _: Viewer,
    zone: Annotated[str, Query(pattern=r"^(|low|review|refer)$")] = "",
    version: Annotated[str, Query(pattern=r"^[0-9]{0,19}$")] = "",
    device: Annotated[str, Query(max_length=64)] = "",
    outcome: Annotated[str, Query(pattern=r"^(|melanoma|benign|unclear)$")] = "",
    before: Annotated[str, Query(pattern=r"^([0-9]{1,15}-[0-9]{1,15})?$")] = "",
) -> Response:
    """The prediction log."""
    filters = {"zone": zone, "version": version, "device_id": device, "outcome": outcome}
    wanted: list[Any] = [getattr(Prediction, name) == value for name, value in filters.items() if value]
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
        answers=tuple(Answered.of(row) for row in rows[:ROWS]),
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
        shown = picture_of(using, session, row) is not None
        trained = False
        if record and row.sha256:
            data = DataImage.data_version == record.data_version, DataImage.split == "train"
            same = select(DataImage.name).where(DataImage.sha256 == row.sha256, *data).limit(1)
            trained = session.scalar(same) is not None
    model = AnswerPage(
        title=f"Answer {number}",
        answer=Answered.of(row),
        examination=examined(examination),
        **{name: getattr(row, name) for name in ("sha256", "contrast", "redness", "width", "height")},
        picture=shown,
        seen=reviews[0].id if reviews else 0,
        reviews=tuple(Past.of(one) for one in reviews),
        trained_on=trained,
        may_review=person.may("reviewer"),
    )
    return respond(request, using, "answer.html", model)


@router.get("/predictions/{number}/picture", response_model=None, responses=of_kind("image/jpeg"))
def picture(using: Using, _: Viewer, number: int) -> Response:
    """The small picture of an answer, where it was kept."""
    with using.database.read() as session:
        path = picture_of(using, session, _found(session, number))
    return jpeg(present(path, "no picture of this answer was kept"))


@router.post("/predictions/{number}/outcome", **CHANGE)
def enter(using: Using, person: Reviewer, number: int, form: InForm[OutcomeForm]) -> RedirectResponse:
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
            raise conflict(
                f"nothing was changed: {said} since the page was made: look at /field/predictions/{number}",
            )
        if form.outcome == "withdrawn" and row.outcome is None:
            raise conflict("there is no outcome to withdraw")
        entered = form.model_dump(include={"outcome", "basis", "comment"})
        session.add(Review(prediction_id=number, at=clock.now(), who=person.name, **entered))
        row.outcome = None if form.outcome == "withdrawn" else form.outcome
        using.audit.add(
            session, person.name, "outcome.enter", f"answer {number}", outcome=form.outcome, basis=form.basis
        )
    using.pulse.tell("predictions")
    return go(inside(form.back) if form.back else f"/field/predictions/{number}")


def _found(session: Session, number: int) -> Prediction:
    return present(by_number(session, Prediction, number), f"there is no answer {number}")


def examined(found: Examination | None) -> Examined | None:
    """The examination as a page shows it."""
    if found is None:
        return None
    quality = found.document.get("quality") or {}
    return Examined.of(found, captured=found.at, advice=tuple(quality.get("advice", ())))


def picture_of(using: Services, session: Session, row: Prediction) -> Path | None:
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
