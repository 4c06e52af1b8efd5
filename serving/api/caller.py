"""Who asks, whichever way the request came in."""

from __future__ import annotations

import time
from dataclasses import dataclass

from serving.status import Code, ServingError


@dataclass(frozen=True)
class Caller:
    """Who asks, and how long the answer is of use."""

    entrypoint: str  # GRPC or REST
    peer: str = ""
    request_id: str = ""
    deadline: float | None = None  # time.monotonic()
    token: str | None = None
    device_id: str = ""
    traceparent: str = ""

    def seconds_left(self) -> float | None:
        """Seconds until the deadline, None for no limit. Raises as timeout_ms."""
        left = self.timeout_ms()
        return left / 1000 if left else None

    def timeout_ms(self) -> int:
        """Milliseconds left, 0 for no limit.

        Raises:
            ServingError: DEADLINE_EXCEEDED where the time is up: the work is not begun.
        """
        if self.deadline is None:
            return 0
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline exceeded before the request was run")
        return max(1, int(left * 1000))
