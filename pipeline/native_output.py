"""Keeps what C++ libraries write to standard error away from the user of a command.

TensorFlow announces its processor features and missing GPUs before any log level can be set. Python's own
standard error stays where it was; a crash's traceback does, too.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STDERR = 2


@contextmanager
def hidden(into: Path | None = None) -> Iterator[None]:
    """Send file descriptor 2 to ``into`` (appended; default: nowhere), and Python's stderr to the old one.

    May be nested: Python's stderr stays what it was outside all of them.
    """
    before = sys.stderr
    before.flush()
    kept = os.dup(STDERR)
    target = os.open(into or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    if _descriptor(before) == STDERR:
        sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1)
        faulthandler.enable(sys.stderr)
    os.dup2(target, STDERR)
    try:
        yield
    finally:
        if sys.stderr is not before:
            faulthandler.disable()
            sys.stderr.close()
            sys.stderr = before
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(target)


def _descriptor(stream: object) -> int | None:
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, io.UnsupportedOperation):
        return None
