"""The registry's record of one pushed version: what it is made of, and why it was let through."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from core.records.verdict import Verdict
from core.settings import Frozen

VERSION_PATTERN = r"^[0-9]{1,19}$"


class Parents(Frozen):
    """What the version descends from."""

    data_version: str = Field(description="SHA-256 of the data set it was trained on")
    baseline_version: str | None = Field(description="the version it was compared with; null for the first")
    recalibrated_from: str | None = Field(
        default=None,
        description="the version whose network it is, fitted to a clinic's own pictures; null for none",
    )


class FileHash(Frozen):
    """A file that belongs to the version, beside the SavedModel."""

    path: str = Field(description="relative to the version's folder")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class VersionRecord(Frozen):
    """One version of a model."""

    schema_version: Literal[1] = 1
    model_name: str
    version: str = Field(pattern=VERSION_PATTERN, description="the name of its folder under the served model")
    created: datetime = Field(description="UTC")
    run_id: str = Field(description="the pipeline run that made it")
    preset: str
    software: str = Field(description="version of Melanosizer that made it")
    config: dict[str, Any] = Field(description="the whole configuration of the run")
    label_counts: dict[str, dict[str, int]] = Field(description="negatives and positives of each split")
    metrics: dict[str, float | None] = Field(description="measured on the test split")
    slices: tuple[dict[str, Any], ...] = Field(description="the same by slice")
    verdicts: tuple[Verdict, ...] = Field(description="every check of every gate")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the version's files, names included")
    fingerprint: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="of what the model computes; equal for an unchanged model"
    )
    parents: Parents
    model: dict[str, Any] = Field(description="what the model says of itself (schemas/model.schema.json)")
    files: tuple[FileHash, ...] = Field(default=(), description="what devices and reports fetch by hash")


RUN: Final = "run "  # what `who` of an event begins with where a run decided, before its name


class Event(Frozen):
    """One change of what is to be served."""

    time: datetime = Field(description="UTC")
    action: Literal["pushed", "promoted", "rolled_back", "canary_started", "canary_ended"]
    version: str = Field(pattern=VERSION_PATTERN)
    previous: str | None = Field(
        description="the version that was served before; of a canary: what was stable"
    )
    who: str = Field(min_length=1)
    why: str = Field(min_length=1)

    @property
    def changes_stable(self) -> bool:
        """Whether it decided which version is stable, not which is the canary."""
        return self.action in ("pushed", "promoted", "rolled_back")

    @property
    def by_a_run(self) -> bool:
        """Whether a run of the pipeline decided it, not a person."""
        return self.who.startswith(RUN)


class Labels(Frozen):
    """The version that each label stands for; null: the label is not given."""

    stable: str | None = Field(default=None, pattern=VERSION_PATTERN)
    canary: str | None = Field(default=None, pattern=VERSION_PATTERN)


class Channels(Labels):
    """Which versions are to be served, and which the servers are told to serve until those are loaded."""

    served: Labels | None = Field(
        default=None, description="the labels in models.config while new versions load; null: as decided"
    )

    @property
    def decided(self) -> Labels:
        """The labels as they are to be."""
        return Labels(stable=self.stable, canary=self.canary)

    @property
    def labels(self) -> Labels:
        """The labels that the model server is told."""
        return self.served or self.decided

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that the model server is told to load, those it serves and those to come."""
        wanted = (self.labels.stable, self.labels.canary, self.stable, self.canary)
        return tuple(dict.fromkeys(version for version in wanted if version is not None))
