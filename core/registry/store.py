"""The registry: the only writer of records of versions, channels, events and models.config (see core.workspace).

A change is written in this order: event, channels, models.config. Whoever comes next completes a change whose
writer was killed. A change of labels takes two files for the model server, see :mod:`core.registry.rollout`: the
change itself writes the first, :meth:`Registry.settle` the second.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import EllipsisType
from typing import Literal

from core.files import append_line, exclusive_lock, write_atomic
from core.records.version import Channels, Event, VersionRecord
from core.registry import model_server_config
from core.registry.model_server_config import ServedModel
from core.registry.reader import Damaged, RegistryError, RegistryReader, UnknownVersionError, after
from core.registry.rollout import Rollout, Waiting

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5

Action = Literal["pushed", "promoted", "rolled_back", "canary_started", "canary_ended"]


class ChangedMeanwhileError(RegistryError):
    """Another version is stable than the caller believed; the message names it."""


class Registry(RegistryReader):
    """The registry of one model in one workspace; without a rollout it is made as the environment says.

    Every change is kept for good with who decided it and why. Whoever names the version that is `expected` to be stable is
    refused with ChangedMeanwhileError if another one is. A version that is not recorded, or whose folder is gone, is refused
    with UnknownVersionError, one with a damaged record with DamagedRecordError.
    """

    def __init__(self, workspace: Path, model_name: str, rollout: Rollout | None = None) -> None:
        super().__init__(workspace, model_name)
        self._rollout = rollout or Rollout.from_environment()

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

    def restore(self, version: str, who: str, why: str) -> bool:
        """Serve a version again that every gate let through once more; return whether that changed anything.

        Only where runs pushed what is served now and what took its place: a run does not undo what a person decided.
        """
        with self._locked():
            changes = [event for event in self._own_events() if event.changes_stable]
            replaced = [event for event in changes if event.previous == version]
            if self.channels().stable == version or not replaced:
                return False
            if not (replaced[-1].by_a_run and changes[-1].by_a_run):
                return False
            self._decide("promoted", self._servable(version), who, why)
        return True

    def promote(self, version: str, who: str, why: str, expected: str | EllipsisType | None = ...) -> None:
        """Serve a version that is recorded."""
        with self._locked():
            self._expect(expected)
            self._decide("promoted", self._servable(version), who, why)

    def rollback(
        self, version: str | None, who: str, why: str, expected: str | EllipsisType | None = ...
    ) -> str:
        """Serve an earlier version again: ``version``, or the one served before. Return its name."""
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
            UnknownVersionError: as always, or there is no canary to end.
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
        """Settle again and again, for that many seconds at most, until the servers answer with a version that was decided.

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
        self._write(after(before, event))

    def _write(self, channels: Channels) -> None:
        write_atomic(self._channels, channels.model_dump_json(exclude_none=channels.served is None) + "\n")
        self._write_config(channels)

    def _write_config(self, channels: Channels) -> bool:
        """Bring models.config to what the channels say; leave it alone, its time included, if it says that.

        Returns:
            Whether other versions or labels of this model stood there.
        """
        wanted = ServedModel(
            name=self.model_name,
            base_path=str(self.served.resolve()),
            versions=channels.versions,
            labels=channels.labels.model_dump(exclude_none=True),
        )
        present = self._read_config()
        if isinstance(present, Damaged):
            # A slip of a hand in it must not stop a rollback: it is made of the channels, which are whole.
            _LOG.warning("%s; it is written again from channels.json", present)
            write_atomic(self._config, model_server_config.render(wanted))
            return False
        found = model_server_config.read(present)
        if wanted not in found:
            write_atomic(self._config, model_server_config.render(wanted, present))
        return wanted not in [replace(one, base_path=wanted.base_path) for one in found]

    def _complete(self) -> Event | None:
        """Complete a change that a killed process had begun, and return it."""
        events = self._own_events()
        present = self._read_channels()
        if not events and not isinstance(present, Damaged) and present == Channels():
            return None
        if isinstance(present, Damaged):
            _LOG.warning("%s; it is written again from the events", present)
        before = self.channels()
        wanted = after(before, events[-1]) if events else before
        begun = wanted != present
        if begun:
            self._write(wanted)
        else:
            begun = self._write_config(wanted)
        return events[-1] if events and begun else None

    @contextmanager
    def _locked(self) -> Iterator[Event | None]:
        """Keep two writers apart, e.g. a run that pushes and a person who rolls back; complete what was begun."""
        with exclusive_lock(self._records / ".lock"):
            yield self._complete()
