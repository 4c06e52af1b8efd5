"""Starts the run an operator configured, when a rule asks for it and the last one is long enough ago."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

from sqlalchemy.orm import Session

from dashboard import clock
from dashboard.database.tables import Cursor
from dashboard.security.audit import AuditLog
from dashboard.settings import Settings

log = logging.getLogger(__name__)

NAME = "retrain"


class Retrainer:
    """Runs `retrain_command`; nothing of the command comes from the web or the database."""

    def __init__(self, settings: Settings, audit: AuditLog) -> None:
        self._settings = settings
        self._audit = audit
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, session: Session, why: str) -> str:
        """Start a run unless one is too recent; a sentence for the alert."""
        command = self._settings.retrain_command
        if not command:
            return "no run was started: retrain_command is not set"
        last = session.get(Cursor, NAME)
        pause = int(self._settings.retrain_pause_hours * clock.HOUR)
        if self._process is not None and self._process.poll() is None:
            return "no run was started: the last one still goes on"
        if last is not None and clock.now() - last.offset < pause:
            return "no run was started: the last one is too recent"
        output = self._settings.state / "retrain.log"
        try:
            with Path(output).open("ab") as stream:
                # Its own session: a restart of the dashboard does not end a training.
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
                )
        except OSError as error:
            return f"no run was started: {command[0]}: {error.strerror}"
        session.merge(Cursor(name=NAME, inode=self._process.pid, offset=clock.now()))
        self._audit.add(
            session, "system", "retrain.start", str(self._process.pid), why=why, command=list(command)
        )
        log.info("started %s as process %d", command[0], self._process.pid)
        return "a run was started"
