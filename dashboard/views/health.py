"""Health pages and the dashboard's own Prometheus page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dashboard.access import either
from dashboard.faults import FaultError
from dashboard.page import of_kind
from dashboard.security.roles import Bearer, Person
from dashboard.services import Using

router = APIRouter(tags=["health"])

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "melanosizer_dashboard_requests", "Answered requests.", ("route", "method", "status"), registry=REGISTRY
)
SECONDS = Histogram(
    "melanosizer_dashboard_seconds",
    "Seconds to an answer.",
    ("route",),
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5),
)
PREDICTIONS = Counter("melanosizer_gateway_images", "Images by fate.", ("fate",), registry=REGISTRY)
ALERTS = Gauge("melanosizer_dashboard_open_alerts", "Alerts nobody resolved.", registry=REGISTRY)
SKIPPED = Gauge(
    "melanosizer_dashboard_skipped_records",
    "Lines of the prediction log that were no record.",
    registry=REGISTRY,
)


class Health(BaseModel):
    """How it is."""

    status: str = Field(description="ok")


@router.get("/healthz", response_model=Health)
def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get(
    "/readyz", response_model=Health, responses={503: {"description": "the database does not answer"}}
)
def readyz(using: Using) -> Health:
    """The database answers as well."""
    try:
        with using.database.read() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        raise FaultError(503, "the database does not answer") from None
    return Health(status="ok")


@router.get("/metrics", response_model=None, responses=of_kind("text/plain"))
def metrics(using: Using, _: Annotated[Person | Bearer, Depends(either("viewer", "metrics"))]) -> Response:
    """For Prometheus; with a token of the scope `metrics`."""
    ALERTS.set(using.alerts.open_count)
    SKIPPED.set(using.tail.skipped)
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
