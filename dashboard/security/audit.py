"""The audit log: who did what, each line sealed with the one before.

A line's digest is an HMAC-SHA256 under the secret key over the previous digest and the line. Whoever edits
the database without the key breaks the chain; whoever cuts its end is found by the count kept beside the key.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from core.files import write_atomic
from dashboard import clock
from dashboard.database.connection import Database
from dashboard.database.tables import Audit
from dashboard.security.secret import Secret

USE = "audit"
FIRST = "0" * 64


@dataclass(frozen=True)
class Verification:
    """What reading the whole chain said."""

    lines: int
    trouble: str = ""

    @property
    def intact(self) -> bool:
        """True when every line is as it was written, and none is missing."""
        return not self.trouble


class AuditLog:
    """Appends and verifies."""

    def __init__(self, database: Database, secret: Secret, head: Path) -> None:
        """`head`: the file that remembers the last line."""
        self._database = database
        self._secret = secret
        self._head = head
        self._writing = threading.Lock()

    def add(self, session: Session, who: str, action: str, subject: str, /, **detail: Any) -> None:
        """Append within the caller's transaction, so that the act and its line come together or not at all."""
        self._database.lock_audit(session)
        last = session.execute(select(Audit.id, Audit.digest).order_by(Audit.id.desc()).limit(1)).first()
        line = Audit(
            id=(last.id if last else 0) + 1,
            at=clock.now(),
            who=who,
            action=action,
            subject=subject,
            detail=json.dumps(detail, sort_keys=True, ensure_ascii=False),
            previous=last.digest if last else FIRST,
        )
        line.digest = self._seal(line)
        session.add(line)
        session.flush()
        number, seal = line.id, line.digest
        # After the commit: what the head names has come, so that whoever cuts one line is found, too.
        event.listen(session, "after_commit", lambda _: self._remember(number, seal), once=True)

    def _remember(self, number: int, seal: str) -> None:
        with self._writing:  # requests end at the same time, and a process writes by one name
            if number < self._remembered()[0]:
                return  # another one was faster
            write_atomic(self._head, f"{number} {seal}\n")

    def verify(self) -> Verification:
        """Read the chain from its first line to its last."""
        previous, count, sealed = FIRST, 0, ""
        remembered, seal = self._remembered()
        with self._database.read() as session:
            for line in session.scalars(select(Audit).order_by(Audit.id).execution_options(yield_per=1000)):
                count += 1
                if line.id != count:
                    return Verification(count, f"line {count} is missing")
                if line.previous != previous:
                    return Verification(count, f"line {line.id} does not follow the line before it")
                if line.digest != self._seal(line):
                    return Verification(count, f"line {line.id} was changed after it was written")
                previous = line.digest
                if line.id == remembered:
                    sealed = line.digest
        # The head is written after the commit: after a crash it may be behind, never ahead.
        if remembered > count:
            return Verification(count, f"lines {count + 1} to {remembered} are missing at the end")
        if remembered and sealed != seal:
            return Verification(count, f"line {remembered} is another than was written")
        return Verification(count)

    def _remembered(self) -> tuple[int, str]:
        try:
            number, seal = self._head.read_text().split()
            return int(number), seal
        except (OSError, ValueError):
            return 0, ""

    def _seal(self, line: Audit) -> str:
        parts = [line.previous, line.id, line.at, line.who, line.action, line.subject, line.detail]
        return self._secret.sign(USE, json.dumps(parts, ensure_ascii=False))
