"""What is wrong right now, as the screen, the light and the heartbeat tell it.

Each kind has a title, a text and a way back in the catalogue.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from core.records.heartbeat import NOTICE_KINDS, NoticeKind

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notice:
    """One thing that is wrong, since when (Unix seconds), and the detail for the technician."""

    kind: NoticeKind
    detail: str
    since: float


class Notices:
    """The notices in force; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[NoticeKind, Notice] = {}
        self.last: Notice | None = None

    def add(self, kind: NoticeKind, detail: str) -> None:
        """Put a notice up, or renew its detail."""
        with self._lock:
            old = self._open.get(kind)
            self._open[kind] = Notice(kind, detail, old.since if old else time.time())
            self.last = self._open[kind]
        if old is None:
            log.warning("%s: %s", kind, detail)

    def clear(self, *kinds: NoticeKind) -> None:
        """Take notices down that no longer hold."""
        with self._lock:
            gone = [kind for kind in kinds if self._open.pop(kind, None)]
        for kind in gone:
            log.info("%s: over", kind)

    def all(self) -> list[Notice]:
        """Return what is wrong, most urgent first."""
        with self._lock:
            return sorted(self._open.values(), key=lambda notice: NOTICE_KINDS.index(notice.kind))

    def has(self, *kinds: NoticeKind) -> bool:
        """Return whether one of these notices is up."""
        with self._lock:
            return not self._open.keys().isdisjoint(kinds)
