"""The registry as pages show it: versions beside what is damaged, and the labels that wait for their servers."""

from __future__ import annotations

from pydantic import Field

from core.files import mark_of
from core.records.times import milliseconds
from core.records.version import Channels, VersionRecord
from core.registry.rollout import Rollout
from core.registry.store import Registry
from core.settings import Frozen
from core.worker import Worker
from core.workspace import Workspace

SETTLE_PERIOD_S = 5.0


class Version(Frozen):
    """One released version."""

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


def channel(channels: Channels, version: str) -> str | None:
    """Return the channel that serves a version, if one does."""
    return "stable" if version == channels.stable else "canary" if version == channels.canary else None


class RegistryFiles(Registry):
    """The registry of one model with what pages show of it."""

    def __init__(self, workspace: Workspace, model_name: str, servers: tuple[str, ...] = ()) -> None:
        """Make it; servers that the environment names are asked rather than these gRPC addresses."""
        rollout = Rollout.from_environment()
        if servers and not rollout.servers:
            rollout = Rollout(servers, rollout.settle_seconds)
        super().__init__(workspace.root, model_name, rollout)

    def names(self) -> list[str]:
        """Return all versions, newest first."""
        return self.versions()[::-1]

    def readable(self, version: str) -> VersionRecord | None:
        """Return a version's record; None where there is none that can be read."""
        found = self.read(version)
        return found if isinstance(found, VersionRecord) else None

    def version(self, name: str) -> Version | None:
        """Return a version in short."""
        record = self.readable(name)
        return self.short(record, self.channels()) if record else None

    def stable(self) -> Version | None:
        """Return the version that is served; None where there is none whose record can be read."""
        name = self.channels().stable
        return self.version(name) if name else None

    def all(self) -> list[Version]:
        """Return every version whose record can be read, newest first."""
        channels = self.channels()
        return [self.short(record, channels) for name in self.names() if (record := self.readable(name))]

    def short(self, record: VersionRecord, channels: Channels) -> Version:
        """Return what lists show of a version."""
        return Version(
            version=record.version,
            created=milliseconds(record.created),
            run_id=record.run_id,
            preset=record.preset,
            data_version=record.parents.data_version,
            baseline=record.parents.baseline_version,
            metrics=record.metrics,
            fingerprint=record.fingerprint,
            channel=channel(channels, record.version),
            present=(self.served / record.version / "saved_model.pb").exists(),
        )

    def stamp(self) -> object:
        """Changes with every release, promotion and rollback, and when labels follow."""
        return mark_of(self._events), mark_of(self._config)


class LabelSettler(Worker):
    """Moves the servers' labels as decided, as soon as they have loaded the versions."""

    def __init__(self, registry: Registry, period_s: float = SETTLE_PERIOD_S) -> None:
        super().__init__("label-settler", period_s)
        self._registry = registry
        self.waiting = ""

    def turn(self) -> None:
        """Settle once; `waiting` says why a decided version is not served yet, empty where it is."""
        waiting = self._registry.settle()
        self.waiting = str(waiting) if waiting else ""
