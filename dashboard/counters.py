"""The dashboard's own counters for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
