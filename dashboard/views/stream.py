"""The stream every open page listens to."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from dashboard.access import Viewer
from dashboard.faults import FaultError
from dashboard.page import ANSWERS
from dashboard.services import Using

router = APIRouter(tags=["stream"])

MOST_STREAMS = 12


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        **ANSWERS,
        200: {
            "content": {"text/event-stream": {}},
            "description": "event: runs | models | alerts | predictions | devices",
        },
    },
)
async def events(using: Using, person: Viewer) -> StreamingResponse:
    """Names of what changed, as server-sent events."""
    if using.pulse.open(person.id) >= MOST_STREAMS:
        raise FaultError(
            429, f"more than {MOST_STREAMS} pages of yours are open already", {"Retry-After": "10"}
        )
    return StreamingResponse(
        using.pulse.listen(person.id), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )
