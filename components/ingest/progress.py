"""How far a job is, told from inside Beam to the process that started it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

Listener = Callable[[str, int, int], None]

# Beam serialises its functions, so they carry a name and not the listener. On another machine nobody listens.
_LISTENERS: Final[dict[str, Callable[[int], None]]] = {}


@contextmanager
def listening(listener: Listener | None, stage: str, total: int) -> Iterator[str]:
    """Call ``listener(stage, done, total)`` on every ``advance`` with the name that is yielded."""
    name = uuid4().hex
    done = 0

    def advanced(count: int) -> None:
        nonlocal done
        done += count
        if listener is not None:
            listener(stage, done, total)

    if listener is not None:
        listener(stage, 0, total)
    _LISTENERS[name] = advanced
    try:
        yield name
    finally:
        del _LISTENERS[name]


def advance(name: str, count: int) -> None:
    """Say that ``count`` more are done."""
    listener = _LISTENERS.get(name)
    if listener is not None:
        listener(count)
