"""Remembers what was read from a file until the file changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


def mark_of(path: Path) -> tuple[int, int] | None:
    """Return what changes with a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class FileCache(Generic[T]):
    """Values by file; the least recently used go first."""

    def __init__(self, load: Callable[[Path], T], most: int) -> None:
        self._load = load
        self._most = most
        self._held: OrderedDict[Path, tuple[tuple[int, int], T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> T | None:
        """What `load` says of the file now; None where there is none."""
        mark = mark_of(path)
        if mark is None:
            return None
        with self._lock:
            held = self._held.get(path)
            if held is not None and held[0] == mark:
                self._held.move_to_end(path)
                return held[1]
        value = self._load(path)
        with self._lock:
            self._held[path] = (mark, value)
            self._held.move_to_end(path)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return value
