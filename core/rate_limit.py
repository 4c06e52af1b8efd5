"""How often one caller may ask."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

# More callers than this at once, and the longest idle are forgotten.
MAX_CALLERS = 10_000


class RateLimiter:
    """A token bucket for each caller, in memory: each process counts for itself."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._rate, self._burst = per_second, max(1, burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, now: float | None = None) -> float:
        """Take one token; 0 where there was one, else the seconds until there is."""
        now = time.monotonic() if now is None else now
        with self._lock:
            tokens, last = self._buckets.pop(caller, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - last) * self._rate)
            wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
            self._buckets[caller] = (tokens - 1 if wait == 0 else tokens, now)
            while len(self._buckets) > MAX_CALLERS:
                self._buckets.popitem(last=False)
            return wait
