"""Who is let in: drain, bearer token, per-caller rate, the number of requests at once; and how many may run."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core.rate_limit import RateLimiter
from serving.operations.metrics import Metrics
from serving.options import Options
from serving.status import Code, ServingError, unavailable


@dataclass(frozen=True)
class Caller:
    """Who asks, whichever way the request came in, and how long the answer is of use."""

    entrypoint: str  # GRPC or REST
    peer: str = ""
    request_id: str = ""
    deadline: float | None = None  # time.monotonic()
    authorization: str = ""
    device_id: str = ""
    traceparent: str = ""

    def timeout_ms(self) -> int:
        """Milliseconds left, 0 for no limit.

        Raises:
            ServingError: DEADLINE_EXCEEDED if the time is up: the work is not begun.
        """
        if self.deadline is None:
            return 0
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline exceeded before the request was run")
        return max(1, int(left * 1000))


class Limits:
    """The gate of the service. Thread-safe."""

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self._metrics = metrics
        self._max_inflight = options.max_inflight_requests
        file, per_second = options.auth_token_file, options.rate_limit_per_second
        self._token = file.read_text().strip().encode() if file else None
        self._rate = RateLimiter(per_second, options.rate_limit_burst) if per_second else None
        self.inflight = 0  # admitted and not answered yet
        self.is_draining = False
        self._changed = threading.Condition()
        metrics.gauge(
            "melanosizer_serving_inflight_requests",
            "Requests admitted and not answered.",
            lambda: self.inflight,
        )

    @contextmanager
    def admit(self, caller: Caller) -> Iterator[None]:
        """Let a request in for the length of a `with` block.

        Raises:
            ServingError: UNAUTHENTICATED, RESOURCE_EXHAUSTED (rate) or UNAVAILABLE (full, draining), the last two
                with the time to wait.
        """
        self.authenticate(caller)
        if self._rate is not None:
            wait = self._rate.take(caller.peer)
            if wait:
                self._metrics.rejected.add("rate")
                raise ServingError(
                    Code.RESOURCE_EXHAUSTED,
                    f"Rate limit of this caller exceeded; retry in {wait:.2f} s",
                    retry_after_seconds=wait,
                )
        with self._changed:
            if self.is_draining:
                self._metrics.rejected.add("draining")
                raise unavailable("The server is shutting down")
            if self.inflight >= self._max_inflight:
                self._metrics.rejected.add("full")
                raise unavailable(f"{self.inflight} requests are under way, the most allowed at once")
            self.inflight += 1
        try:
            yield
        finally:
            with self._changed:
                self.inflight -= 1
                if self.inflight == 0:
                    self._changed.notify_all()

    def authenticate(self, caller: Caller) -> None:
        """Check the bearer token; UNAUTHENTICATED if it is missing or wrong."""
        if self._token is None:
            return
        scheme, _, shown = caller.authorization.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.encode(), self._token):
            self._metrics.rejected.add("token")
            raise ServingError(
                Code.UNAUTHENTICATED, "A valid bearer token is required (authorization: Bearer ...)"
            )

    def drain(self) -> None:
        """Admit nobody any more."""
        with self._changed:
            self.is_draining = True

    def await_idle(self, timeout: float) -> bool:
        """Block until nothing is in flight; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.inflight == 0, timeout)
