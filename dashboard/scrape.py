"""Reads the model server's Prometheus page now and then, and keeps the last day of it."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import defaultdict, deque
from itertools import pairwise

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pydantic import Field

from core.settings import Frozen
from core.worker import Worker
from dashboard import clock

log = logging.getLogger(__name__)

FINE, COARSE = 720, 1440  # samples as they come, and after that one a minute
MOST_BYTES = 8 << 20
PATIENCE_S = 3.0
PREFIX = ":tensorflow:serving:"
# What is read of a page, each by one of its labels.
LABELS = {
    PREFIX + "request_count": "status",
    PREFIX + "request_latency_bucket": "le",
    PREFIX + "batching_session:queuing_latency_bucket": "le",
    "melanosizer_serving_routed_requests": "route",
    "melanosizer_serving_shadow_comparisons": "result",
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """The counters at one moment; histograms hold cumulative counts by upper bound (microseconds)."""

    at: int
    ok: float = 0.0
    errors: float = 0.0
    latency: dict[float, float] = dataclasses.field(default_factory=dict)
    queue: dict[float, float] = dataclasses.field(default_factory=dict)
    routed: dict[str, float] = dataclasses.field(default_factory=dict)
    shadow: dict[str, float] = dataclasses.field(default_factory=dict)


class Span(Frozen):
    """What happened since the sample before."""

    at: int
    seconds: float
    requests: float = Field(description="a second")
    errors: float = Field(description="a second")
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    queue_p95_ms: float | None


class Scraper(Worker):
    """Keeps samples of one server."""

    def __init__(self, url: str, period: float, model_name: str) -> None:
        super().__init__("scraper", period)
        self._url = url
        self._model = model_name
        self._samples: deque[Sample] = deque()
        self._older: deque[Sample] = deque(maxlen=COARSE)
        self._lock = threading.Lock()
        self.trouble = "" if url else "no model_server_metrics_url is set"

    def turn(self) -> None:
        """Read once."""
        if not self._url:
            return
        try:
            with httpx.stream("GET", self._url, timeout=PATIENCE_S, trust_env=False) as response:
                response.raise_for_status()
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise ValueError(f"more than {MOST_BYTES} bytes")
            sample = parse(body.decode("utf-8", "replace"), self._model)
        except (httpx.HTTPError, ValueError) as error:
            # Of a name that is none the parser says nothing.
            self.trouble = f"{self._url}: {str(error) or 'this is not a page for Prometheus'}"
            return
        self.trouble = ""
        self.keep(sample)

    def keep(self, sample: Sample) -> None:
        """Add the newest sample; of those older than an hour or so one a minute stays."""
        with self._lock:
            self._samples.append(sample)
            if len(self._samples) > FINE:
                leaving = self._samples.popleft()
                if not self._older or leaving.at - self._older[-1].at >= clock.MINUTE:
                    self._older.append(leaving)

    def samples(self) -> list[Sample]:
        """What is kept, oldest first."""
        with self._lock:
            return [*self._older, *self._samples]

    def spans(self, since: int = 0, until: int | None = None, most: int = 60) -> list[Span]:
        """A time in at most this many steps of equal length; a restarted server's counters begin a new step."""
        samples = [one for one in self.samples() if since <= one.at <= (until or one.at)]
        if len(samples) < 2:
            return []
        step = max(1.0, (samples[-1].at - samples[0].at) / most)
        # The newest sample of each step, counted from the newest of all.
        chosen = list({-int((samples[-1].at - one.at) // step): one for one in samples}.values())
        return [between(a, b) for a, b in pairwise(chosen) if b.ok + b.errors >= a.ok + a.errors]


def parse(page: str, model_name: str) -> Sample:
    """A Prometheus page of TF Serving or of the embedded server. Raises ValueError for a line that is none."""
    found: dict[str, dict[str, float]] = {name: defaultdict(float) for name in LABELS}
    for one in (one for family in text_string_to_metric_families(page) for one in family.samples):
        name = one.name.removesuffix("_total")
        if name in LABELS and one.labels.get("model_name", model_name) == model_name:
            found[name][one.labels.get(LABELS[name], "")] += one.value
    requests, latency, queue, routed, shadow = found.values()
    ok = requests.pop("OK", 0.0)
    waits, queued = ({float(le or "inf"): value for le, value in cells.items()} for cells in (latency, queue))
    return Sample(clock.now(), ok, sum(requests.values()), waits, queued, dict(routed), dict(shadow))


def between(before: Sample, after: Sample) -> Span:
    """Rates and percentiles of the time between two samples."""
    seconds = max(0.001, (after.at - before.at) / 1000)
    latency = _difference(before.latency, after.latency)
    queue = _difference(before.queue, after.queue)
    return Span(
        at=after.at,
        seconds=seconds,
        requests=(after.ok + after.errors - before.ok - before.errors) / seconds,
        errors=(after.errors - before.errors) / seconds,
        p50_ms=quantile(latency, 0.5),
        p95_ms=quantile(latency, 0.95),
        p99_ms=quantile(latency, 0.99),
        queue_p95_ms=quantile(queue, 0.95),
    )


def _difference(before: dict[float, float], after: dict[float, float]) -> dict[float, float]:
    return {bound: max(0.0, value - before.get(bound, 0)) for bound, value in after.items()}


def quantile(cumulative: dict[float, float], share: float) -> float | None:
    """Milliseconds below which this share lies, linear within its bucket (as Prometheus does); None of nothing."""
    bounds = sorted(cumulative)
    total = cumulative[bounds[-1]] if bounds else 0
    if total <= 0:
        return None
    wanted = share * total
    low = counted = 0.0
    for bound in bounds:
        if cumulative[bound] >= wanted:
            if bound == float("inf"):
                return low / 1000
            inside = cumulative[bound] - counted
            return (low + (bound - low) * ((wanted - counted) / inside if inside else 1)) / 1000
        low, counted = bound, cumulative[bound]
    return low / 1000
