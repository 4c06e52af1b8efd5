"""Importing large libraries: TFX and what it brings makes two million objects, which all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Import inside without looking for garbage, and never look through what was imported.

    Python looks through all objects again each time their number has grown by a quarter, and twice when the process
    ends: a third of the time of importing TFX. Meant for a command's own process, once.
    """
    if gc.get_freeze_count() or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
