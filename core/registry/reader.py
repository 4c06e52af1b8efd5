"""What the registry's files say: records of versions, changes, and which versions are to be served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from core.errors import UsageError
from core.records.version import Channels, Event, Labels, VersionRecord
from core.registry import model_server_config
from core.registry.model_server_config import DamagedConfigError
from core.settings import first_fault
from core.workspace import Workspace

_LARGEST = 2**63 - 1


class RegistryError(UsageError):
    """The registry cannot do what was asked; the message says why and what to do."""


class UnknownVersionError(RegistryError):
    """The registry holds no such version; the message names those it holds."""


class DamagedRecordError(RegistryError):
    """A version's record cannot be read; the message names the file."""


@dataclass(frozen=True)
class Damaged:
    """A file, or a line of one, that cannot be read."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """Return a sentence for people."""
        return f"{self.path} cannot be read ({self.reason}): restore it from a backup"


class RegistryReader:
    """The registry of one model in one workspace, read only: one damaged file costs itself and nothing else."""

    def __init__(self, workspace: Path, model_name: str) -> None:
        place = Workspace(workspace)
        self.model_name = model_name
        self.served = place.served(model_name)
        self._records = place.records(model_name)
        self._channels = self._records / "channels.json"
        self._events = place.events
        self._config = place.server_config
        self._known: dict[Path, tuple[tuple[int, int, int], VersionRecord | Damaged]] = {}

    def versions(self) -> list[str]:
        """Return all recorded versions, oldest first, those with a damaged record included."""
        return sorted(
            (path.stem for path in self._records.glob("[0-9]*.json") if _is_version(path.stem)), key=int
        )

    def read(self, version: str) -> VersionRecord | Damaged | None:
        """Return one version's record, what is wrong with it, or None if there is none."""
        path = self._records / f"{version}.json"
        if not _is_version(version):
            return None
        try:
            found = path.stat()
            mark = found.st_mtime_ns, found.st_size, found.st_ino
            known = self._known.get(path)
            if known is None or known[0] != mark:
                known = self._known[path] = mark, _parse(path, version)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Damaged(path, error.strerror or str(error))
        return known[1]

    def record(self, version: str) -> VersionRecord:
        """Return one version's record. Raises UnknownVersionError or DamagedRecordError."""
        found = self.read(version)
        if found is None:
            known = ", ".join(self.versions()) or "none yet: run the pipeline first"
            raise UnknownVersionError(
                f"no version {version} of {self.model_name}; the registry holds {known}"
            )
        if isinstance(found, Damaged):
            raise DamagedRecordError(f"the record of version {version}: {found}")
        return found

    def find(self, fingerprint: str) -> VersionRecord | None:
        """Return the newest version with this fingerprint, if there is one."""
        for version in reversed(self.versions()):
            record = self.read(version)
            if isinstance(record, VersionRecord) and record.fingerprint == fingerprint:
                return record
        return None

    def events(self) -> list[Event]:
        """Return every change of every model of the workspace, oldest first; a damaged line is left out."""
        return [event for event in self._event_lines() if isinstance(event, Event)]

    def channels(self) -> Channels:
        """Return which versions are to be served; of a damaged file, what the events say."""
        found = self._read_channels()
        return self._channels_of_events() if isinstance(found, Damaged) or found == Channels() else found

    def previous(self) -> str:
        """Return what a rollback without a version goes back to. Raises UnknownVersionError: none was served before."""
        stable = self.channels().stable
        served = _history(self._own_events())
        if len(served) > 1 and served[-1] == stable:
            return served[-2]
        others = ", ".join(version for version in self.versions() if version != stable)
        raise UnknownVersionError(
            f"no version of {self.model_name} was served before {stable or 'any'}"
            + (
                f": name one of {others}"
                if others
                else ", and it is the only one: there is nothing to roll back to"
                if stable
                else ": there is none yet, `melanosizer run` releases one"
            )
        )

    def damaged(self) -> list[Damaged]:
        """Return every file of the registry, and every line of the events, that cannot be read."""
        found: list[object] = [self.read(version) for version in self.versions()]
        found += [self._read_channels(), *self._event_lines(), self._read_config()]
        return [one for one in found if isinstance(one, Damaged)]

    def _own_events(self) -> list[Event]:
        """Return the changes of this model: all models of a workspace write into one file."""
        known = set(self.versions())
        return [event for event in self.events() if event.version in known]

    def _channels_of_events(self) -> Channels:
        """Return what the events decided, with the labels of models.config, or the ones before the last change."""
        channels = Channels()
        for event in self._own_events():
            channels = after(channels.decided, event)
        present = self._read_config()
        if not isinstance(present, Damaged):
            for one in model_server_config.read(present):
                if one.name == self.model_name:
                    served = Labels(stable=one.labels.get("stable"), canary=one.labels.get("canary"))
                    settled = served in (channels.decided, Labels())
                    return Channels(**channels.decided.model_dump(), served=None if settled else served)
        return channels

    def _read_channels(self) -> Channels | Damaged:
        try:
            return Channels.model_validate_json(self._channels.read_bytes())
        except FileNotFoundError:
            return Channels()
        except (OSError, ValueError) as error:
            return Damaged(self._channels, _short(error))

    def _read_config(self) -> str | Damaged:
        try:
            text = self._config.read_text(encoding="utf-8")
            model_server_config.read(text)
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeError, DamagedConfigError) as error:
            return Damaged(self._config, _short(error))
        return text

    def _event_lines(self) -> Iterator[Event | Damaged]:
        try:
            lines = self._events.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            yield Damaged(self._events, _short(error))
            return
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield Event.model_validate_json(line)
            except ValidationError as error:
                yield Damaged(self._events, f"line {number}: {_short(error)}")


def after(before: Labels, event: Event) -> Channels:
    """Return the channels after a change: decided at once, served when loaded."""
    stable, canary = before.stable, before.canary
    labels = before.labels if isinstance(before, Channels) else before
    if event.changes_stable:
        stable, canary = event.version, None if canary == event.version else canary
    elif event.action == "canary_started":
        canary = event.version
    elif canary == event.version:
        canary = None
    decided = Labels(stable=stable, canary=canary)
    # A canary that is over needs no version to be loaded: its label goes with this change.
    kept = Labels(stable=labels.stable, canary=labels.canary if canary is not None else None)
    # The first version needs no second step either: no server holds a label that could move.
    settled = kept in (decided, Labels())
    return Channels(stable=stable, canary=canary, served=None if settled else kept)


def _history(events: Iterable[Event]) -> list[str]:
    """Return what was served, oldest first, without what a rollback took back: no other one may bring it back."""
    served: list[str] = []
    for event in events:
        if not event.changes_stable:
            continue
        if not served and event.previous:
            served.append(event.previous)
        if event.action == "rolled_back" and event.version in served:
            while served[-1] != event.version:
                served.pop()
        elif not served or served[-1] != event.version:
            served.append(event.version)
    return served


def _is_version(name: str) -> bool:
    """Whether it is a version's name: a number that TensorFlow Serving's int64 holds."""
    return name.isascii() and name.isdigit() and len(name) <= 19 and int(name) <= _LARGEST


def _parse(path: Path, version: str) -> VersionRecord | Damaged:
    try:
        record = VersionRecord.model_validate_json(path.read_bytes())
    except ValueError as error:
        return Damaged(path, _short(error))
    if record.version != version:
        return Damaged(path, f"it is the record of version {record.version}")
    return record


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return first_fault(error)
    return getattr(error, "strerror", None) or str(error)
