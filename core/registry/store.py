"""The registry: records of versions, which of them is served, and who changed that.

Layout below the workspace::

    registry/<model>/<version>.json     one record a version, never changed
    registry/<model>/channels.json      which version is stable, which is the canary
    registry/events.jsonl               every change, appended
    serving/<model>/<version>/          the SavedModel
    serving/models.config               what the server polls, written from the channels
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from core.records.version import VERSION_PATTERN, Event, VersionRecord
from core.registry import model_server_config


class UnknownVersionError(Exception):
    """The registry holds no such version; the message names those it holds."""


class Channels(BaseModel):
    """Which versions are served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stable: str | None = Field(default=None, pattern=VERSION_PATTERN)
    canary: str | None = Field(default=None, pattern=VERSION_PATTERN)


class Registry:
    """The registry of one model in one workspace."""

    def __init__(self, workspace: Path, model_name: str) -> None:
        self.model_name = model_name
        self.served = workspace / "serving" / model_name
        self._records = workspace / "registry" / model_name
        self._events = workspace / "registry" / "events.jsonl"
        self._config = workspace / "serving" / "models.config"

    def versions(self) -> list[str]:
        """Return all recorded versions, oldest first."""
        return sorted((path.stem for path in self._records.glob("[0-9]*.json")), key=int)

    def record(self, version: str) -> VersionRecord:
        """Read one version's record.

        Raises:
            UnknownVersionError: there is none.
        """
        path = self._records / f"{version}.json"
        if not version.isdigit() or not path.exists():
            known = ", ".join(self.versions()) or "none yet: run the pipeline first"
            raise UnknownVersionError(
                f"no version {version} of {self.model_name}; the registry holds {known}"
            )
        return VersionRecord.model_validate_json(path.read_text())

    def channels(self) -> Channels:
        """Return which versions are served."""
        path = self._records / "channels.json"
        return Channels.model_validate_json(path.read_text()) if path.exists() else Channels()

    def events(self) -> list[Event]:
        """Return every change, oldest first."""
        if not self._events.exists():
            return []
        return [Event.model_validate_json(line) for line in self._events.read_text().splitlines() if line]

    def find(self, fingerprint: str) -> VersionRecord | None:
        """Return the newest version with this fingerprint, if there is one."""
        for version in reversed(self.versions()):
            record = self.record(version)
            if record.fingerprint == fingerprint:
                return record
        return None

    def add(self, record: VersionRecord, who: str, why: str) -> None:
        """Write a new version's record and serve it. Writing the same version twice changes nothing."""
        with self._locked():
            self._finish()
            path = self._records / f"{record.version}.json"
            # A process that was killed between the two left a record which was never served.
            if path.exists() and any(event.version == record.version for event in self.events()):
                return
            _write(path, record.model_dump_json(indent=2) + "\n")
            self._serve(record.version, "pushed", who, why)

    def promote(self, version: str, who: str, why: str) -> None:
        """Serve ``version``.

        Raises:
            UnknownVersionError: it is not recorded, or its folder is gone.
        """
        with self._locked():
            self._finish()
            self._serve(self._known(version), "promoted", who, why)

    def rollback(self, version: str | None, who: str, why: str) -> str:
        """Serve an earlier version again: ``version``, or the one served before. Return its name.

        Raises:
            UnknownVersionError: there is no such version, or none was served before.
        """
        with self._locked():
            begun = self._finish()
            if version is None and begun is not None and begun.action == "rolled_back":
                return begun.version
            target = version or self._previous()
            self._serve(self._known(target), "rolled_back", who, why)
        return target

    def _previous(self) -> str:
        stable = self.channels().stable
        served = _served(self._own_events())
        if len(served) > 1 and served[-1] == stable:
            return served[-2]
        raise UnknownVersionError(
            f"no version of {self.model_name} was served before {stable or 'any'}: name one of "
            f"{', '.join(self.versions()) or 'none'}"
        )

    def _known(self, version: str) -> str:
        self.record(version)
        if not (self.served / version / "saved_model.pb").exists():
            raise UnknownVersionError(
                f"version {version} of {self.model_name} is recorded, but {self.served / version} holds no "
                "SavedModel any more: restore the folder from a backup"
            )
        return version

    def _serve(self, version: str, action: str, who: str, why: str) -> None:
        before = self.channels()
        event = Event.model_validate(
            {
                "time": datetime.now(UTC),
                "action": action,
                "version": version,
                "previous": before.stable,
                "who": who,
                "why": why,
            }
        )
        self._events.parent.mkdir(parents=True, exist_ok=True)
        with self._events.open("a") as stream:
            stream.write(event.model_dump_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._switch(version, before)

    def _switch(self, version: str, before: Channels) -> None:
        canary = None if before.canary == version else before.canary
        channels = Channels(stable=version, canary=canary)
        _write(self._records / "channels.json", channels.model_dump_json() + "\n")
        _write(
            self._config, model_server_config.render(self.model_name, self.served.resolve(), version, canary)
        )

    def _own_events(self) -> list[Event]:
        """The changes of this model: all models of a workspace write into one file."""
        known = set(self.versions())
        return [event for event in self.events() if event.version in known]

    def _finish(self) -> Event | None:
        """Complete a change that a killed process had only announced, and return it: its event is written first."""
        events = self._own_events()
        if not events:
            return None
        last = events[-1]
        before = self.channels()
        served = (
            model_server_config.stable(self._config.read_text(), self.model_name)
            if self._config.exists()
            else None
        )
        if before.stable == last.version == served:
            return None
        self._switch(last.version, before)
        return last

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep two writers apart, e.g. a run that pushes and a person who rolls back."""
        self._records.mkdir(parents=True, exist_ok=True)
        with (self._records / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _served(events: Iterable[Event]) -> list[str]:
    """What was served, the oldest first, without what a rollback took back: it must not come back by another one."""
    served: list[str] = []
    for event in events:
        if not served and event.previous:
            served.append(event.previous)
        if event.action == "rolled_back" and event.version in served:
            while served[-1] != event.version:
                served.pop()
        elif not served or served[-1] != event.version:
            served.append(event.version)
    return served


def _write(path: Path, text: str) -> None:
    """Replace a file at once, so that a reader sees the old or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
