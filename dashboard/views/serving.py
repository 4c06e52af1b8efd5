"""Serving: what the model server says of itself, and how versions compare on the same traffic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import Field

from core.records.version import Channels
from core.tfserving.client import ModelVersion
from dashboard import charts, clock
from dashboard.access import Viewer
from dashboard.database.tables import Hour
from dashboard.faults import FaultError
from dashboard.field.recorder import hours
from dashboard.page import ANSWERS, InQuery, Page, Part, respond
from dashboard.readers.registry import channel
from dashboard.scrape import Span
from dashboard.services import Using
from dashboard.time_range import TimeRange

router = APIRouter(tags=["serving"])

COUNTS = ("answers", "failures")
SHARES = ("referred", "reviewed", "strange", "probability", "latency_ms")  # of the answers, or their mean


class ServingRange(TimeRange):
    """The time of the charts: what is kept is the last day."""

    last: str = Field("1h", pattern=TimeRange.PATTERN, description="hours or days up to now, e.g. 6h, 1d")


class State(Part):
    """A version as the server holds it."""

    version: str
    state: str
    error: str
    channel: str | None


class OnDay(Part):
    """A version's answers in the last day."""

    version: str
    channel: str | None
    answers: int
    failures: int
    referred: float | None = Field(description="share of the answers")
    reviewed: float | None
    strange: float | None = Field(description="share of images that are no dermoscopy")
    probability: float | None = Field(description="mean")
    latency_ms: float | None = Field(description="mean, as its recorder saw it")


class ServingPage(Page):
    """The model server."""

    server: str
    metrics_url: str
    trouble: str = Field(description="why versions cannot be read")
    metrics_trouble: str
    versions: tuple[State, ...]
    channels: Channels
    requests: float = Field(description="in all since the server started")
    errors: float
    asked: ServingRange
    history: tuple[Span, ...]
    routed: dict[str, float] = Field(description="requests by route: stable, canary")
    shadow: dict[str, float] = Field(description="comparisons with the shadow, by result")
    days: tuple[OnDay, ...]


async def _loaded(using: Using, _: Viewer) -> tuple[list[ModelVersion], str]:
    """Return the versions the server holds, and why they cannot be read."""
    try:
        return await using.model_server.versions(), ""
    except FaultError as error:
        return [], str(error)


@router.get("/serving", response_model=ServingPage, responses=ANSWERS)
def serving(
    request: Request,
    using: Using,
    person: Viewer,
    server: Annotated[tuple[list[ModelVersion], str], Depends(_loaded)],
    asked: InQuery[ServingRange],
) -> Response:
    """Requests, errors, latency, queue and versions."""
    loaded, trouble = server
    channels = using.registry.channels()
    spans = using.scraper.spans(*asked.limits(person.zone))
    samples = using.scraper.samples()
    newest = samples[-1] if samples else None
    with using.database.read() as session:
        rows = hours(session, Hour.version, COUNTS + SHARES, clock.now() - clock.DAY)
    model = ServingPage(
        title="Serving",
        server=using.settings.model_server,
        metrics_url=str(using.settings.model_server_metrics_url or ""),
        trouble=trouble,
        metrics_trouble=using.scraper.trouble,
        versions=tuple(
            State.of(one, version=name, channel=channel(channels, name))
            for one in loaded
            for name in (str(one.version),)
        ),
        channels=channels,
        requests=newest.ok + newest.errors if newest else 0,
        errors=newest.errors if newest else 0,
        asked=asked,
        history=tuple(spans),
        routed=newest.routed if newest else {},
        shadow=newest.shadow if newest else {},
        days=tuple(_day(channels, row) for row in sorted(rows, key=lambda row: -row[1]) if row[0]),
    )
    lines = {
        "rate": ("requests a second", "requests/s", {"answered": "requests", "failed": "errors"}),
        "latency": ("latency", "ms", {"median": "p50_ms", "95 %": "p95_ms", "99 %": "p99_ms"}),
        "queue": ("time in the queue", "ms, 95 %", {"queue": "queue_p95_ms"}),
    }
    extra = {
        name: charts.timeline(title, unit, spans, named, zone=person.zone)
        for name, (title, unit, named) in lines.items()
    }
    return respond(request, using, "serving.html", model, extra=extra)


def _day(channels: Channels, row: Sequence[Any]) -> OnDay:
    version, answers, failures, *sums = row
    shares = {name: part / answers if answers else None for name, part in zip(SHARES, sums, strict=True)}
    served = channel(channels, version)
    return OnDay(version=version, channel=served, answers=answers, failures=failures, **shares)
