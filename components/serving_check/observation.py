"""What a model did when it was tried: the message between the trying process and the judging one."""

from __future__ import annotations

from typing import NamedTuple


class Observation(NamedTuple):
    """Answers and times; probabilities in the order of the requests."""

    single: list[float]
    batched: list[float]
    refused: list[str]
    bad: dict[str, str]
    alive: bool
    latency_ms: float
    load_seconds: float
