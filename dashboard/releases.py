"""Promotes and rolls back exactly as the registry does: the same files, the same lock, the same order.

`core/registry/store.py` is the pipeline's side of it; a test holds both against each other byte by byte.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from google.protobuf import text_format

from core.protos import model_server_config_pb2
from core.workspace import Workspace
from dashboard.readers.registry import Channels, Event, RegistryFiles


class ReleaseError(Exception):
    """A version that cannot be served; the text says why, and what to do."""


class ServedChangedError(ReleaseError):
    """Another version is served than the caller believed."""


class Releases:
    """Changes which version is served."""

    def __init__(self, workspace: Workspace, model_name: str, registry: RegistryFiles) -> None:
        self._workspace = workspace
        self._model = model_name
        self._records = workspace.records(model_name)
        self._served = workspace.served(model_name)
        self._registry = registry

    def promote(self, version: str, who: str, why: str, expected: str | None = None) -> None:
        """Serve `version`; with `expected` only while that one is served. Raises ReleaseError."""
        with self._locked():
            self._finish()
            self._check(expected)
            self._serve(self._known(version), "promoted", who, why)

    def rollback(self, version: str | None, who: str, why: str, expected: str | None = None) -> str:
        """Serve `version`, or the one served before, again; its name. Raises ReleaseError."""
        with self._locked():
            begun = self._finish()
            self._check(expected)
            if version is None and begun is not None and begun.action == "rolled_back":
                return begun.version
            target = self._known(version or self.previous())
            self._serve(target, "rolled_back", who, why)
        return target

    def previous(self) -> str:
        """The version that was served before the present one. Raises ReleaseError where there was none."""
        stable = self._registry.channels().stable
        served = _served(self._own_events())
        if len(served) > 1 and served[-1] == stable:
            return served[-2]
        raise ReleaseError(
            f"no version was served before {stable or 'any'}: choose one of {', '.join(self._registry.names())}"
        )

    def _check(self, expected: str | None) -> None:
        stable = self._registry.channels().stable
        if expected is not None and (stable or "") != expected:
            raise ServedChangedError(f"version {stable or 'none'} is served now, not {expected or 'none'}")

    def _known(self, version: str) -> str:
        if self._registry.record(version) is None:
            known = ", ".join(self._registry.names()) or "none yet"
            raise ReleaseError(f"there is no version {version}; the registry holds {known}")
        if not (self._served / version / "saved_model.pb").exists():
            raise ReleaseError(
                f"version {version} is recorded, but {self._served / version} holds no SavedModel any "
                "more: restore the folder from a backup"
            )
        return version

    def _serve(self, version: str, action: str, who: str, why: str) -> None:
        before = self._registry.channels()
        event = {
            "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "action": action,
            "version": version,
            "previous": before.stable,
            "who": who,
            "why": why,
        }
        self._workspace.events.parent.mkdir(parents=True, exist_ok=True)
        with self._workspace.events.open("a", encoding="utf-8") as stream:
            stream.write(_compact(event) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._switch(version, before)

    def _switch(self, version: str, before: Channels) -> None:
        canary = None if before.canary == version else before.canary
        _replace(self._records / "channels.json", _compact({"stable": version, "canary": canary}) + "\n")
        _replace(
            self._workspace.server_config,
            server_config(self._model, self._served.resolve(), version, canary),
        )

    def _own_events(self) -> list[Event]:
        """The changes of this model: all models of a workspace write into one file."""
        known = set(self._registry.names())
        return [event for event in self._registry.events() if event.version in known]

    def _finish(self) -> Event | None:
        """Complete a change that a killed process had only announced, and return it: its event is written first."""
        events = self._own_events()
        if not events:
            return None
        last = events[-1]
        before = self._registry.channels()
        config = self._workspace.server_config
        served = _stable(config.read_text(), self._model) if config.exists() else None
        if before.stable == last.version == served:
            return None
        self._switch(last.version, before)
        return last

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._records.mkdir(parents=True, exist_ok=True)
        with (self._records / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def server_config(model_name: str, base_path: Path, stable: str | None, canary: str | None) -> str:
    """TensorFlow Serving's ModelServerConfig in text form."""
    config = model_server_config_pb2.ModelServerConfig()
    model = config.model_config_list.config.add(
        name=model_name, base_path=str(base_path), model_platform="tensorflow"
    )
    for label, version in (("stable", stable), ("canary", canary)):
        if version is not None:
            model.model_version_policy.specific.versions.append(int(version))
            model.version_labels[label] = int(version)
    return text_format.MessageToString(config)


def _stable(text: str, model_name: str) -> str | None:
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    for one in config.model_config_list.config:
        if one.name == model_name and "stable" in one.version_labels:
            return str(one.version_labels["stable"])
    return None


def _compact(document: dict[str, str | None]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _replace(path: Path, text: str) -> None:
    """A reader sees the old file or the new one, and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


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
