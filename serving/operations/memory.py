"""One budget of memory for all requests under way: what one caller sends must not take it from the others."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from serving.operations.metrics import Metrics
from serving.status import Code, ServingError

_PIECE_BYTES = 128 << 10


class MemoryBudget:
    """Bytes that requests may take together. Thread-safe."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self.limit = limit
        self._free = limit
        self._lock = threading.Lock()
        self._metrics = metrics
        metrics.gauge(
            "melanosizer_serving_request_memory_bytes",
            "Memory reserved for requests under way.",
            lambda: self.limit - self._free,
        )

    def _take(self, amount: int) -> None:
        with self._lock:
            if amount > self._free:
                self._metrics.rejected.add("memory")
                raise ServingError(
                    Code.RESOURCE_EXHAUSTED,
                    f"The request needs {amount} bytes of memory; {max(0, self._free)} of {self.limit} are free",
                    retry_after_seconds=1.0,
                    http_status=503,  # Service Unavailable: it passes
                )
            self._free -= amount

    def _give(self, amount: int) -> None:
        with self._lock:
            self._free += amount


class Reservation:
    """What one request holds; a context manager that gives it back."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._held = 0

    def take(self, amount: int) -> None:
        """Hold more.

        Raises:
            ServingError: RESOURCE_EXHAUSTED if there is not so much left.
        """
        self._budget._take(amount)
        self._held += amount

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        held, self._held = self._held, 0
        self._budget._give(held)


@dataclass(frozen=True)
class JsonSize:
    """How much there is in a JSON body, seen without parsing it.

    Attributes:
        length: Bytes of the text.
        values: About as many values.
        memory_bytes: What parsing takes beside the body: a number is an object of 24 bytes in two lists and in two
            arrays; a list is 56 bytes, an object 232 and a list of pairs.
    """

    length: int
    values: int
    memory_bytes: int

    @classmethod
    def of(cls, body: bytes | bytearray | memoryview) -> JsonSize:
        """Count the separators."""
        text = np.frombuffer(body, np.uint8)
        # numpy counts without the interpreter's lock, and as fast whatever there is; a piece stays in the cache.
        pieces = [text[at : at + _PIECE_BYTES] for at in range(0, len(text), _PIECE_BYTES)]
        commas, lists, objects = (
            sum(int(np.count_nonzero(piece == mark)) for piece in pieces) for mark in b",[{"
        )
        return cls(
            len(body), commas + lists + objects, 2 * len(body) + 56 * commas + 72 * lists + 400 * objects
        )
