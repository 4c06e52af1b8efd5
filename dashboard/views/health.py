"""Health pages and the dashboard's own Prometheus page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import text

from dashboard.access import either
from dashboard.counters import ALERTS, REGISTRY, SKIPPED
from dashboard.page import of_kind
from dashboard.security.roles import Bearer, Person
from dashboard.services import Using

router = APIRouter(tags=["health"])


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
