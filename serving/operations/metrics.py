"""Counters, gauges and histograms under TF Serving's names, on a Prometheus page in TF Serving's layout.

Own classes rather than prometheus_client's, which renames counters (`_total`) and so would break dashboards.
"""

from __future__ import annotations

import bisect
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import psutil

# Names come from clients: past this many label sets a metric lumps the rest under "other".
MAX_LABEL_SETS = 1000

Labels = tuple[str, ...]


def exponential(scale: float, growth: float, count: int) -> list[float]:
    """monitoring::Buckets::Exponential: `count` upper bounds, and infinity after them."""
    return [scale * growth**i for i in range(count)]


LATENCY_BUCKETS = exponential(10, 1.8, 33)  # microseconds, up to about 20 minutes
QUEUE_BUCKETS = exponential(100, 1.2, 52)  # microseconds, up to about 1 second
SIZE_BUCKETS = exponential(1, 2, 14)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Metric:
    """What all metrics share: a name, label names and one value per set of label values."""

    kind = "untyped"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.help_text = help_text
        self.labels = tuple(labels)
        self._lock = threading.Lock()

    def _text(self, values: Labels, extra: str = "") -> str:
        pairs = [f'{k}="{_escape(v)}"' for k, v in zip(self.labels, values, strict=True)]
        return ",".join([*pairs, extra] if extra else pairs)

    def _line(self, labels: Labels, value: float) -> str:
        return f"{self.name}{{{self._text(labels)}}} {value if value % 1 else int(value)}"

    def lines(self) -> Iterator[str]:
        """The lines of the page, without the type line."""
        raise AssertionError(f"{type(self).__name__} prints no lines")


def _bounded(labels: Labels, cells: Collection[Labels]) -> Labels:
    """The labels of the cell to use."""
    return labels if labels in cells or len(cells) < MAX_LABEL_SETS else ("other",) * len(labels)


class Counter(Metric):
    """A number that only grows."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, help_text, labels)
        self._values: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, *labels: str, by: float = 1) -> None:
        """Add to one cell."""
        with self._lock:
            labels = _bounded(labels, self._values)
            self._values[labels] = self._values.get(labels, 0) + by

    def value(self, *labels: str) -> float:
        """The value of one cell."""
        with self._lock:
            return self._values.get(labels, 0)

    def lines(self) -> Iterator[str]:
        """One line a cell."""
        with self._lock:
            cells = sorted(self._values.items())
        for labels, value in cells:
            yield self._line(labels, value)


class Gauge(Metric):
    """A number read when the page is asked for."""

    kind = "gauge"

    def __init__(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        super().__init__(name, help_text)
        self._read = read

    def lines(self) -> Iterator[str]:
        """The one line."""
        yield self._line((), self._read())


class Histogram(Metric):
    """A distribution over fixed buckets."""

    kind = "histogram"

    def __init__(
        self, name: str, help_text: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        super().__init__(name, help_text, labels)
        self._bounds = list(bounds)
        self._cells: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count one value."""
        # A bound belongs to the bucket above it in TensorFlow's samplers (upper_bound).
        at = bisect.bisect_right(self._bounds, value)
        with self._lock:
            labels = _bounded(labels, self._cells)
            counts, total = self._cells.setdefault(labels, ([0] * (len(self._bounds) + 1), [0.0]))
            counts[at] += 1
            total[0] += value

    @contextmanager
    def time(self, *labels: str) -> Iterator[None]:
        """Count the microseconds of a block, if it succeeds."""
        began = time.perf_counter()
        yield
        self.observe((time.perf_counter() - began) * 1e6, *labels)

    def lines(self) -> Iterator[str]:
        """Cumulative buckets, sum and count of each cell."""
        with self._lock:
            cells = [
                (labels, list(counts), total[0]) for labels, (counts, total) in sorted(self._cells.items())
            ]
        for labels, counts, total in cells:
            running = 0
            for i, count in enumerate(counts):
                running += count
                bound = f"{self._bounds[i]:.6g}" if i < len(self._bounds) else "+Inf"
                limit = f'le="{bound}"'
                yield f"{self.name}_bucket{{{self._text(labels, limit)}}} {running}"
            yield f"{self.name}_sum{{{self._text(labels)}}} {total:.12g}"
            yield f"{self.name}_count{{{self._text(labels)}}} {running}"


class Metrics:
    """Every metric of the server."""

    def __init__(self, thread_pool_name: str = "model_server_batch_threads") -> None:
        self._gauges: list[Gauge] = []
        self._pool = thread_pool_name
        prefix = ":tensorflow:serving:"
        api = ("model_name", "API", "entrypoint")
        self.request_count = Counter(
            prefix + "request_count", "The total number of requests.", ("model_name", "status")
        )
        self.request_latency = Histogram(
            prefix + "request_latency", "Wall time of a request in microseconds.", LATENCY_BUCKETS, api
        )
        self.runtime_latency = Histogram(
            prefix + "runtime_latency",
            "Wall time of TensorFlow's run in microseconds.",
            LATENCY_BUCKETS,
            ("model_name", "API", "runtime"),
        )
        self.warmup_latency = Histogram(
            prefix + "model_warmup_latency",
            "Wall time of warming a model up, in microseconds.",
            LATENCY_BUCKETS,
            ("model_path", "status"),
        )
        self.queuing_latency = Histogram(
            prefix + "batching_session:queuing_latency",
            "Wall time spent in the batch queue, in microseconds.",
            QUEUE_BUCKETS,
            ("thread_pool_name",),
        )
        self.processed_batch_size = Histogram(
            prefix + "batching_session:processed_batch_size",
            "Rows of the batch a request was run in, padding included.",
            SIZE_BUCKETS,
            ("thread_pool_name",),
        )
        self.example_count = Counter(
            prefix + "request_example_count_total", "The total number of tensorflow.Examples.", ("model",)
        )
        own = "melanosizer_serving_"
        self.rejected = Counter(own + "rejected_requests", "Requests refused before any work.", ("reason",))
        self.images_refused = Counter(own + "refused_images", "Images refused before the graph.", ("reason",))
        self.records = Counter(own + "prediction_records", "Prediction records by fate.", ("fate",))
        self.routed = Counter(own + "routed_requests", "Requests by route.", ("model_name", "route"))
        self.shadow = Counter(
            own + "shadow_comparisons",
            "Shadow answers compared with the primary's.",
            ("model_name", "result"),
        )
        self.swaps = Counter(
            own + "version_state_changes", "Versions that reached a state.", ("model_name", "state")
        )
        process = psutil.Process(os.getpid())
        started = time.time()
        self.gauge("process_resident_memory_bytes", "Resident memory.", lambda: process.memory_info().rss)
        self.gauge("process_open_fds", "Open file descriptors.", lambda: process.num_fds())
        self.gauge("process_threads", "Threads.", lambda: process.num_threads())
        self.gauge("process_cpu_seconds", "CPU seconds used.", lambda: sum(process.cpu_times()[:2]))
        self.gauge("process_start_time_seconds", "Start, UTC unix seconds.", lambda: started)

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge that `read` gives the value of."""
        self._gauges.append(Gauge(name, help_text, read))

    @property
    def _metrics(self) -> list[Metric]:
        """All there are, by name."""
        own = [one for one in vars(self).values() if isinstance(one, Metric)]
        return sorted([*own, *self._gauges], key=lambda one: one.name)

    def batched(self, queued_seconds: float, batch_size: int) -> None:
        """Count a run that waited so long for its batch, which had so many rows, padding included."""
        self.queuing_latency.observe(queued_seconds * 1e6, self._pool)
        self.processed_batch_size.observe(batch_size, self._pool)

    def page(self) -> str:
        """The Prometheus page."""
        lines: list[str] = []
        for metric in self._metrics:
            lines.append(f"# HELP {metric.name} {metric.help_text}")
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            lines.extend(metric.lines())
        return "\n".join(lines) + "\n"
