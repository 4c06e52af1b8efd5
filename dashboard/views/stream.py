"""The stream every open page listens to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from dashboard.access import Viewer
from dashboard.faults import FaultError
from dashboard.page import of_kind
from dashboard.services import Using

router = APIRouter(tags=["stream"])

MOST_STREAMS = 12


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
