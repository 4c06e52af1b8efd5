"""The review queue: answers for an outcome, found by the examination's code and number, device or day."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from dashboard.access import Viewer
from dashboard.database.tables import Examination, Hour, Prediction, Review
from dashboard.page import ANSWERS, InQuery, ListPage, Part, paged, respond
from dashboard.security.roles import Person
from dashboard.services import Using
from dashboard.time_range import EMPTY_IS_NONE, Days
from dashboard.views.answers import Answered, Examined, examined, picture_of

router = APIRouter(prefix="/field", tags=["field"])

ROWS = 20
MOST_SKIPPED = 90  # numbers of up to 20 digits in an address of 2,000 characters


class Waiting(Part):
    """An answer in the queue."""

    answer: Answered
    examination: Examined | None
    picture: bool
    seen: int


class QueueFilter(Days):
    """Which answers."""

    code: str = Field("", max_length=64, description="the examination's code, as the device shows it")
    number: Annotated[int | None, EMPTY_IS_NONE] = Field(None, ge=0, le=2**62, description="its number")
    device: str = Field("", max_length=64)
    zone: Literal["", "refer", "review", "low"] = ""
    outcome: Literal["none", "any", "melanoma", "benign", "unclear"] = "none"
    skip: str = Field("", pattern=r"^[0-9,]{0,2000}$", description="answers passed over for now")
    page: int = Field(1, ge=1, le=100_000)

    def skipping(self, number: int) -> str:
        """Return `skip` with one answer more; of very many the first ones are shown again."""
        return ",".join([*self.skip.split(",")[-MOST_SKIPPED:], str(number)]).strip(",")

    @property
    def zones(self) -> tuple[str, ...]:
        """Return the zones to walk: somebody who looks for one examination wants it whatever its zone."""
        if self.zone:
            return (self.zone,)
        return ("refer", "review", "low") if self.code or self.number is not None else ("refer", "review")


class QueuePage(ListPage):
    """Answers for an outcome: the most dangerous zone first, oldest first."""

    answers: tuple[Waiting, ...]
    waiting: int = Field(
        description="answers nobody has entered an outcome for, of the zones review and refer"
    )
    asked: QueueFilter
    may_review: bool


@router.get("/review", response_model=QueuePage, responses=ANSWERS)
def queue(request: Request, using: Using, person: Viewer, asked: InQuery[QueueFilter]) -> Response:
    """Answers to enter an outcome for, found by the examination's code and number, device or day."""
    with using.database.read() as session:
        wanted = _wanted(asked, person)
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
        place, offset = paged(sum(counted.values()), asked.page, ROWS)
        rows: list[Any] = []
        # A walk along the index for each zone instead of one sort of everything that waits.
        for zone, count in counted.items():
            if offset < count and len(rows) < ROWS:
                rows += session.execute(
                    base.where(Prediction.zone == zone, *wanted)
                    .order_by(Prediction.at, Prediction.id)
                    .limit(ROWS - len(rows))
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
                    answer=Answered.of(prediction),
                    examination=examined(examination),
                    picture=picture_of(using, session, prediction) is not None,
                    seen=seen.get(prediction.id, 0),
                )
                for prediction, examination in rows
            ),
            waiting=waiting(session),
            **place,
            asked=asked,
            may_review=person.may("reviewer"),
        )
    return respond(request, using, "review.html", model)


def waiting(session: Session) -> int:
    """How many answers wait, from the hourly counts and the outcomes entered: neither grows with a page."""
    asked = session.scalar(select(func.coalesce(func.sum(Hour.referred + Hour.reviewed), 0))) or 0
    known = session.scalar(
        select(func.coalesce(func.sum(case((Prediction.zone != "low", 1), else_=0)), 0)).where(
            Prediction.outcome.is_not(None)
        )
    )
    return max(0, int(asked) - int(known or 0))


def _wanted(asked: QueueFilter, person: Person) -> list[ColumnElement[bool]]:
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
    if asked.since or asked.until:
        first, end = asked.limits(person.zone)
        wanted += [Prediction.at >= first, Prediction.at < end]
    skipped = [int(number) for number in asked.skip.split(",") if number and len(number) < 19]
    if skipped:
        wanted.append(Prediction.id.not_in(skipped))
    return wanted
