"""Takes old, sent examinations off the device; what is unsent stays, however old."""

from __future__ import annotations

from edge.queue import Queue

DAY_S = 86_400.0


def sweep(queue: Queue, *, now: float, days: float, reported: bool) -> int:
    """Forgets examinations settled more than `days` ago (`reported`: that the gateway has, too); how many."""
    old = queue.settled_before(now - days * DAY_S, reported=reported)
    for examination in old:
        queue.forget(examination.id)
    return len(old)
