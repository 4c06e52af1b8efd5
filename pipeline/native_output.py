"""Keeps what C++ libraries write to standard error away from the user of a command.

TensorFlow announces its processor features and missing GPUs before any log level can be set. Python's own
standard error stays where it was; a crash's traceback does, too.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STDERR = 2


@contextmanager
def hidden(into: Path | None = None) -> Iterator[None]:
    """Send file descriptor 2 to ``into`` (appended; default: nowhere), and Python's stderr to the old one."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    target = os.open(into or os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    before = sys.stderr
    with os.fdopen(os.dup(kept), "w", buffering=1) as stream:
        try:
            os.dup2(target, STDERR)
            sys.stderr = stream
            faulthandler.enable(stream)
            yield
        finally:
            faulthandler.disable()
            sys.stderr = before
            os.dup2(kept, STDERR)
            os.close(kept)
            os.close(target)
