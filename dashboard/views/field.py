"""The field: what was answered, what came of it, and whether it drifts."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy.orm import Session

from core.charts import performance, series
from core.records import outcome
from dashboard import charts, clock
from dashboard.access import Reviewer, Viewer
from dashboard.database.tables import Hour
from dashboard.faults import present
from dashboard.field.drift import Drift, drift
from dashboard.field.features import FEATURES
from dashboard.field.outcomes import FieldCalibration, FieldQuality, calibration, confirmed, quality
from dashboard.field.recorder import hours
from dashboard.page import ANSWERS, InQuery, Page, Part, of_kind, respond
from dashboard.services import Using
from dashboard.time_range import TimeRange
from dashboard.views.review import waiting

router = APIRouter(prefix="/field", tags=["field"])

BY_HOUR = 3 * clock.DAY  # a time of at most this length is shown by hour


class FieldFilter(TimeRange):
    """Which answers."""

    version: str = Field("", pattern=r"^[0-9]{0,19}$", description="only answers of this version")


class Volume(Part):
    """Counts of an hour or a day, which begins at midnight in the time zone of the account."""

    at: int
    answers: int = 0
    failures: int = 0
    referred: int = 0
    reviewed: int = 0


class FieldPage(Page):
    """Answers, outcomes and drift in short."""

    asked: FieldFilter
    versions: tuple[str, ...]
    answers: int
    failures: int
    referred: float | None
    reviewed: float | None
    history: tuple[Volume, ...]
    by_hour: bool = Field(description="history is by hour, else by day")
    quality: FieldQuality
    waiting: int = Field(
        description="answers nobody has entered an outcome for, of the zones review and refer"
    )
    drift: tuple[Drift, ...]
    drift_of: str = Field(description="the version whose drift and calibration are shown")
    calibration: FieldCalibration | None
    may_export: bool


@router.get("", response_model=FieldPage, responses=ANSWERS)
def field(request: Request, using: Using, person: Viewer, asked: InQuery[FieldFilter]) -> Response:
    """The field in short."""
    since, until = asked.limits(person.zone)
    of = asked.version or using.registry.channels().stable or ""
    record = using.registry.version(of) if of else None
    data_version = record.data_version if record else ""
    by_hour = until - since <= BY_HOUR
    with using.database.read() as session:
        history = _history(session, asked.version, since, until, None if by_hour else person.zone)
        found = quality(session, asked.version or None, since, until)
        drifts = drift(session, using.evidence, of, record, since, until)
        outcomes = confirmed(session, of, data_version)
        model = FieldPage(
            title="Field",
            asked=asked,
            versions=tuple(using.registry.names()[:40]),
            answers=(answers := sum(one.answers for one in history)),
            failures=sum(one.failures for one in history),
            referred=sum(one.referred for one in history) / answers if answers else None,
            reviewed=sum(one.reviewed for one in history) / answers if answers else None,
            history=history,
            by_hour=by_hour,
            quality=found,
            waiting=waiting(session),
            drift=tuple(drifts),
            drift_of=of,
            calibration=calibration(outcomes, of, using.workspace.root) if of else None,
            may_export=person.may("reviewer"),
        )
    extra: dict[str, Any] = {
        "volume": charts.timeline(
            "answers an hour" if by_hour else "answers a day",
            "answers",
            history,
            {"answers": "answers", "referred": "referred"},
            zone=person.zone,
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


@router.get("/outcomes.csv", response_model=None, responses=of_kind("text/csv"))
def outcomes_file(
    using: Using, person: Reviewer, version: Annotated[str, Query(pattern=r"^[0-9]{1,19}$")]
) -> Response:
    """The confirmed outcomes of a version's answers, for `melanosizer recalibrate --field`."""
    record = present(using.registry.version(version), f"there is no version {version}")
    with using.database.write() as session:
        rows = confirmed(session, version, record.data_version)
        using.audit.add(session, person.name, "outcomes.export", version, answers=len(rows))
    name = f"outcomes-{version}.csv"
    return Response(
        outcome.table(rows),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _history(
    session: Session, version: str, since: int, until: int, zone: ZoneInfo | None
) -> tuple[Volume, ...]:
    """Return the counts of each day in a time zone, of each hour without one."""
    counts = ("answers", "failures", "referred", "reviewed")
    wanted = [Hour.hour <= until, *([Hour.version == version] if version else [])]
    found: dict[int, Volume] = {}
    for hour, *values in hours(session, Hour.hour, counts, since, *wanted):
        at = hour if zone is None else clock.midnight(clock.local(hour, zone).date(), zone)
        old = found.get(at, Volume(at=at))
        sums = {name: getattr(old, name) + int(value) for name, value in zip(counts, values, strict=True)}
        found[at] = Volume(at=at, **sums)
    return tuple(found.values())
