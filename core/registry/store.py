"""The registry: records of versions, which of them is served, and who changed that.

It is the only writer of these::

    registry/<model>/<version>.json     one record a version, never changed
    registry/<model>/channels.json      which version is stable, which is the canary
    registry/events.jsonl               every change, appended
    serving/<model>/<version>/          the SavedModel
    serving/models.config               what the model server polls, made of the channels alone

A change is written in this order: event, channels, models.config. Whoever comes next completes a change whose
writer was killed. A change of labels takes two files for the model server, see :mod:`core.registry.rollout`: the
change itself writes the first, :meth:`Registry.settle` the second.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import EllipsisType
from typing import Literal

from pydantic import ValidationError

from core.errors import UsageError
from core.files import append_line, exclusive_lock, write_atomic
from core.records.version import Channels, Event, Labels, VersionRecord
from core.registry import model_server_config
from core.registry.model_server_config import DamagedConfigError, ServedModel
from core.registry.rollout import Rollout, Waiting
from core.workspace import Workspace

_LOG = logging.getLogger(__name__)
_LARGEST = 2**63 - 1
_POLL_SECONDS = 0.5

Action = Literal["pushed", "promoted", "rolled_back", "canary_started", "canary_ended"]


class RegistryError(UsageError):
    """The registry cannot do what was asked; the message says why and what to do."""


class UnknownVersionError(RegistryError):
    """The registry holds no such version; the message names those it holds."""


class DamagedRecordError(RegistryError):
    """A version's record cannot be read; the message names the file."""


class ChangedMeanwhileError(RegistryError):
    """Another version is stable than the caller believed; the message names it."""


@dataclass(frozen=True)
class Damaged:
    """A file, or a line of one, that cannot be read."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """Return a sentence for people."""
        return f"{self.path} cannot be read ({self.reason}): restore it from a backup"


class Registry:
    """The registry of one model in one workspace.

    Args:
        workspace: the workspace's folder.
        model_name: the model.
        rollout: how it is found out that servers have loaded a version; default: as the environment says.
    """

    def __init__(self, workspace: Path, model_name: str, rollout: Rollout | None = None) -> None:
        place = Workspace(workspace)
        self.model_name = model_name
        self.served = place.served(model_name)
        self._records = place.records(model_name)
        self._channels = self._records / "channels.json"
        self._events = place.events
        self._config = place.server_config
        self._rollout = rollout or Rollout.from_environment()
        self._known: dict[Path, tuple[tuple[int, int, int], VersionRecord | Damaged]] = {}

    # Reading: one damaged file costs itself and nothing else.

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
        """Return one version's record.

        Raises:
            UnknownVersionError: there is none.
            DamagedRecordError: it cannot be read.
        """
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
        """Return the version that a rollback without a version goes back to.

        Raises:
            UnknownVersionError: none was served before.
        """
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

    # Changing: one writer at a time.

    def add(self, record: VersionRecord, who: str, why: str) -> None:
        """Write a new version's record and serve it. Writing the same version twice changes nothing."""
        with self._locked():
            # A process that was killed between the two left a record which was never served.
            if isinstance(self.read(record.version), VersionRecord) and any(
                event.version == record.version for event in self.events()
            ):
                return
            write_atomic(self._records / f"{record.version}.json", record.model_dump_json(indent=2) + "\n")
            self._decide("pushed", record.version, who, why)

    def promote(self, version: str, who: str, why: str, expected: str | EllipsisType | None = ...) -> None:
        """Serve ``version``.

        Args:
            version: one that is recorded.
            who: who decides.
            why: the reason, kept for good.
            expected: the version that the caller believes to be stable; left out: whichever it is.

        Raises:
            UnknownVersionError: it is not recorded, or its folder is gone.
            DamagedRecordError: its record cannot be read.
            ChangedMeanwhileError: another version than ``expected`` is stable.
        """
        with self._locked():
            self._expect(expected)
            self._decide("promoted", self._servable(version), who, why)

    def rollback(
        self, version: str | None, who: str, why: str, expected: str | EllipsisType | None = ...
    ) -> str:
        """Serve an earlier version again: ``version``, or the one served before. Return its name.

        Args:
            version: the version to go back to; None: the one served before.
            who: who decides.
            why: the reason, kept for good.
            expected: the version that the caller believes to be stable; left out: whichever it is.

        Raises:
            UnknownVersionError: there is no such version, or none was served before.
            DamagedRecordError: its record cannot be read.
            ChangedMeanwhileError: another version than ``expected`` is stable.
        """
        with self._locked() as begun:
            if version is None and begun is not None and begun.action == "rolled_back":
                return begun.version
            self._expect(expected)
            target = self._servable(version or self.previous())
            self._decide("rolled_back", target, who, why)
        return target

    def canary(self, version: str | None, who: str, why: str) -> None:
        """Serve ``version`` beside the stable one under the label ``canary``; None ends the canary.

        Raises:
            UnknownVersionError: it is not recorded, its folder is gone, or there is no canary to end.
            DamagedRecordError: its record cannot be read.
            RegistryError: it is the stable version.
        """
        with self._locked():
            present = self.channels()
            if version is None:
                if present.canary is None:
                    raise UnknownVersionError(f"{self.model_name} has no canary to end")
                self._decide("canary_ended", present.canary, who, why)
                return
            if version == present.stable:
                raise RegistryError(
                    f"version {version} of {self.model_name} is stable: it cannot be its own canary"
                )
            self._decide("canary_started", self._servable(version), who, why)

    def settle(self) -> Waiting | None:
        """Move the labels as decided if every server has loaded the versions; return what they wait for, or None.

        It may be called at any time by anybody, and completes a change whose writer was killed.
        """
        with self._locked():
            before = self.channels()
            if before.served is None:
                return None
            age = max(time.time() - self._config.stat().st_mtime, 0.0)
        # The servers are asked without the lock: a rollback need not wait for a server that does not answer.
        wanted = [version for version in (before.stable, before.canary) if version is not None]
        waiting = self._rollout.why_not(self.model_name, wanted, age)
        if waiting is not None:
            return waiting
        with self._locked():
            if self.channels() == before:
                self._write(Channels(stable=before.stable, canary=before.canary))
                return None
        return Waiting(tuple(wanted), "it was decided otherwise meanwhile")

    def release(
        self, version: str, seconds: float = 180.0, pause: Callable[[float], None] = time.sleep
    ) -> Waiting | None:
        """Settle again and again until the servers answer with a version that was decided.

        Args:
            version: the version that is to be served.
            seconds: how long to wait at most.
            pause: sleeps between two tries.

        Returns:
            None if the labels are as decided; else what they wait for when the time was over. Whoever settles
            next goes on: the dashboard, `melanosizer serve`, the cluster's registry-settle.

        Raises:
            RegistryError: a server cannot load the version; the one before goes on answering.
        """
        end = time.monotonic() + seconds
        said = ""
        while (waiting := self.settle()) is not None:
            if waiting.failed:
                raise RegistryError(
                    f"version {version} of {self.model_name} is released but not served: {waiting.reason}. The version "
                    "before goes on answering; roll back, or mend the server"
                )
            if time.monotonic() >= end:
                _LOG.warning("%s", waiting)
                return waiting
            if not said:
                said = waiting.reason
                _LOG.info("%s", waiting)
            pause(_POLL_SECONDS)
        return None

    def _expect(self, expected: str | EllipsisType | None) -> None:
        stable = self.channels().stable
        if not isinstance(expected, EllipsisType) and expected != stable:
            raise ChangedMeanwhileError(
                f"version {stable or 'none'} of {self.model_name} is served now, not {expected or 'none'}: "
                "look again, then decide"
            )

    def _servable(self, version: str) -> str:
        self.record(version)
        if not (self.served / version / "saved_model.pb").exists():
            raise UnknownVersionError(
                f"version {version} of {self.model_name} is recorded, but {self.served / version} holds no "
                "SavedModel any more: restore the folder from a backup"
            )
        return version

    def _decide(self, action: Action, version: str, who: str, why: str) -> None:
        before = self.channels()
        event = Event(
            time=datetime.now(UTC), action=action, version=version, previous=before.stable, who=who, why=why
        )
        append_line(self._events, event.model_dump_json())
        self._write(_after(before, event))

    def _write(self, channels: Channels) -> None:
        write_atomic(self._channels, channels.model_dump_json(exclude_none=channels.served is None) + "\n")
        self._write_config(channels)

    def _write_config(self, channels: Channels) -> None:
        """Bring models.config to what the channels say; leave it alone, its time included, if it says that."""
        labels = {
            label: version for label, version in channels.labels.model_dump().items() if version is not None
        }
        wanted = ServedModel(
            name=self.model_name,
            base_path=model_server_config.base_path(self.served),
            versions=channels.versions,
            labels=dict(sorted(labels.items())),
        )
        present = self._read_config()
        if isinstance(present, Damaged):
            # A slip of a hand in it must not stop a rollback: it is made of the channels, which are whole.
            _LOG.warning("%s; it is written again from channels.json", present)
        elif wanted in model_server_config.read(present):
            return
        write_atomic(
            self._config, model_server_config.render(wanted, "" if isinstance(present, Damaged) else present)
        )

    def _own_events(self) -> list[Event]:
        """Return the changes of this model: all models of a workspace write into one file."""
        known = set(self.versions())
        return [event for event in self.events() if event.version in known]

    def _complete(self) -> Event | None:
        """Complete a change that a killed process had begun, and return it."""
        events = self._own_events()
        present = self._read_channels()
        if not events and not isinstance(present, Damaged) and present == Channels():
            return None
        if isinstance(present, Damaged):
            _LOG.warning("%s; it is written again from the events", present)
        before = self.channels()
        after = _after(before, events[-1]) if events else before
        begun = after != present or self._config_differs(after)
        if after != present:
            self._write(after)
        else:
            self._write_config(after)
        return events[-1] if events and begun else None

    def _config_differs(self, channels: Channels) -> bool:
        present = self._read_config()
        if isinstance(present, Damaged):
            return False
        mine = [one for one in model_server_config.read(present) if one.name == self.model_name]
        labels = {
            label: version for label, version in channels.labels.model_dump().items() if version is not None
        }
        return not mine or mine[0].labels != labels or mine[0].versions != channels.versions

    def _channels_of_events(self) -> Channels:
        """Return what the events decided, with the labels of models.config, or the ones before the last change."""
        channels = Channels()
        for event in self._own_events():
            channels = _after(channels.decided, event)
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

    @contextmanager
    def _locked(self) -> Iterator[Event | None]:
        """Keep two writers apart, e.g. a run that pushes and a person who rolls back; complete what was begun."""
        with exclusive_lock(self._records / ".lock"):
            yield self._complete()


def _after(before: Labels, event: Event) -> Channels:
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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return getattr(error, "strerror", None) or str(error)
