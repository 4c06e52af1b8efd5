"""Remembers what was read from a file until the file changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def mark_of(path: Path) -> tuple[int, int] | None:
    """Return what changes with a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def cached(load: Callable[[Path], T], most: int) -> Callable[[Path], T | None]:
    """Return `load` with a memory for its last files: None for a file that is not there."""

    @lru_cache(most)
    def at(path: Path, _mark: tuple[int, int]) -> T:
        return load(path)

    def get(path: Path) -> T | None:
        mark = mark_of(path)
        return at(path, mark) if mark else None

    return get
