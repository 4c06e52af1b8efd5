"""What programs ask: health, the dashboard's own metrics, and the stream every open page listens to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import text

from dashboard.access import Viewer, either
from dashboard.counters import ALERTS, REGISTRY, SKIPPED
from dashboard.faults import FaultError
from dashboard.page import of_kind
from dashboard.security.roles import Bearer, Person
from dashboard.services import Using

router = APIRouter(tags=["health"])

MOST_STREAMS = 12


class Health(BaseModel):
    """How it is."""

    status: str = Field(description="ok")


@router.get("/healthz", response_model=Health)
async def healthz() -> Health:
    """The process answers, whatever its threads wait for."""
    return Health(status="ok")


@router.get(
    "/readyz", response_model=Health, responses={503: {"description": "the database does not answer"}}
)
def readyz(using: Using) -> Health:
    """The database answers as well."""
    with using.database.read() as session:
        session.execute(text("SELECT 1"))
    return Health(status="ok")


@router.get("/metrics", response_model=None, responses=of_kind("text/plain"))
def metrics(using: Using, _: Annotated[Person | Bearer, Depends(either("viewer", "metrics"))]) -> Response:
    """For Prometheus; with a token of the scope `metrics`."""
    ALERTS.set(using.alerts.open_count)
    SKIPPED.set(using.tail.skipped)
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


@router.get("/events", response_model=None, responses=of_kind("text/event-stream"))
async def events(
    using: Using,
    person: Viewer,
    since: Annotated[int, Query(ge=0, le=2**62)] = 2**62,
    last_event_id: Annotated[str, Header(pattern=r"^[0-9]{0,18}$")] = "",
) -> StreamingResponse:
    """Names of what changed, as server-sent events: runs, models, alerts, predictions.

    `since`: the count of the page that listens; a browser that comes back names the last event it heard of instead.
    """
    if using.pulse.open(person.id) >= MOST_STREAMS:
        raise FaultError(
            429, f"more than {MOST_STREAMS} pages of yours are open already", {"Retry-After": "10"}
        )
    return StreamingResponse(
        using.pulse.listen(person.id, int(last_event_id or since)),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )
