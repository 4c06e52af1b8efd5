"""The registry's records, channels and events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core.files import read_json
from core.records.verdict import Verdict
from core.workspace import Workspace
from dashboard import clock
from dashboard.readers.cache import FileCache
from dashboard.readers.runs import verdicts


class Version(BaseModel):
    """One released version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    created: int = Field(description="milliseconds since 1970, UTC")
    run_id: str
    preset: str
    data_version: str
    baseline: str | None = Field(description="the version it was compared with")
    metrics: dict[str, float | None] = Field(description="measured on the test split")
    fingerprint: str
    channel: str | None = Field(description="stable, canary, or null")
    present: bool = Field(description="its SavedModel is still there")


class Event(BaseModel):
    """One change of what is served."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: str
    action: str
    version: str
    previous: str | None
    who: str
    why: str

    @property
    def at(self) -> int:
        """Milliseconds since 1970."""
        return clock.parse(self.time)


class Channels(BaseModel):
    """Which versions are served."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stable: str | None = None
    canary: str | None = None


class RegistryFiles:
    """Reads the registry of one model."""

    def __init__(self, workspace: Workspace, model_name: str) -> None:
        self._workspace = workspace
        self._folder = workspace.records(model_name)
        self._served = workspace.served(model_name)
        self._records: FileCache[dict[str, Any] | None] = FileCache(read_json, 2000)
        self._events: FileCache[list[Event]] = FileCache(_read_events, 4)

    def names(self) -> list[str]:
        """All versions, newest first."""
        found = [path.stem for path in self._folder.glob("[0-9]*.json") if path.stem.isdigit()]
        return sorted(found, key=int, reverse=True)

    def channels(self) -> Channels:
        """Which versions are served."""
        return Channels.model_validate(read_json(self._folder / "channels.json") or {})

    def events(self) -> list[Event]:
        """Every change, oldest first."""
        return self._events.get(self._workspace.events) or []

    def record(self, version: str) -> dict[str, Any] | None:
        """A version's whole record; None where there is none."""
        if not (version.isascii() and version.isdigit() and len(version) <= 19):
            return None
        return self._records.get(self._folder / f"{version}.json")

    def version(self, name: str) -> Version | None:
        """A version in short."""
        record = self.record(name)
        if record is None:
            return None
        channels = self.channels()
        parents = record.get("parents") or {}
        return Version(
            version=name,
            created=clock.parse(record["created"]),
            run_id=str(record.get("run_id", "")),
            preset=str(record.get("preset", "")),
            data_version=str(parents.get("data_version", "")),
            baseline=parents.get("baseline_version"),
            metrics=record.get("metrics") or {},
            fingerprint=str(record.get("fingerprint", "")),
            channel="stable" if name == channels.stable else "canary" if name == channels.canary else None,
            present=(self._served / name / "saved_model.pb").exists(),
        )

    def all(self) -> list[Version]:
        """Every version, newest first."""
        found = (self.version(name) for name in self.names())
        return [version for version in found if version is not None]

    def verdicts(self, version: str) -> tuple[Verdict, ...]:
        """What the gates decided when it was released."""
        return verdicts((self.record(version) or {}).get("verdicts"))

    def model_facts(self, version: str) -> dict[str, Any]:
        """What the model says of itself."""
        found = (self.record(version) or {}).get("model")
        return found if isinstance(found, dict) else {}

    def stamp(self) -> object:
        """Changes with every release, promotion and rollback."""
        try:
            found = self._workspace.events.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


def _read_events(path: Path) -> list[Event]:
    result = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            result.append(Event.model_validate_json(line))
        except ValueError:
            continue  # a line that is being written
    return result
