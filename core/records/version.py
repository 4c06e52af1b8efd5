"""The registry's record of one pushed version: what it is made of, and why it was let through."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.records.verdict import Verdict

VERSION_PATTERN = r"^[0-9]{1,19}$"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parents(_Frozen):
    """What the version descends from."""

    data_version: str = Field(description="SHA-256 of the data set it was trained on")
    baseline_version: str | None = Field(description="the version it was compared with; null for the first")


class FileHash(_Frozen):
    """A file that belongs to the version, beside the SavedModel."""

    path: str = Field(description="relative to the version's folder")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class VersionRecord(_Frozen):
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


class Event(_Frozen):
    """One change of what is served."""

    time: datetime = Field(description="UTC")
    action: Literal["pushed", "promoted", "rolled_back"]
    version: str = Field(pattern=VERSION_PATTERN)
    previous: str | None = Field(description="the version that was served before")
    who: str = Field(min_length=1)
    why: str = Field(min_length=1)
