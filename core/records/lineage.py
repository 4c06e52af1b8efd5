"""The lineage record: what one step of one run read, wrote and was told, with the hash of every artifact.

A cluster's runs never reach the local metadata store, so every step writes registry/lineage/<run>/<step>.json itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from core.files import write_atomic
from core.settings import Frozen

State = Literal["COMPLETE", "CACHED", "REFUSED", "FAILED"]
Scalar = str | float | int | bool


class LineageArtifact(Frozen):
    """One artifact that a step read or wrote."""

    type: str = Field(description="TFX's name of its type, e.g. Model")
    uri: str = Field(description="where it lies: a path, or a URI of the object store")
    sha256: str | None = Field(
        description="of all its files, names included; null where nothing was left to hash"
    )
    properties: dict[str, Scalar] = Field(
        default={}, description="what the step noted on it, e.g. blessed: 1"
    )


class LineageRecord(Frozen):
    """One step of one run."""

    schema_version: Literal[1] = 1
    run_id: str = Field(min_length=1)
    step: str = Field(min_length=1, description="the step's id in the pipeline, e.g. data-gate")
    target: Literal["local", "kubeflow", "vertex"]
    state: State = Field(description="REFUSED: a gate's answer; CACHED: an earlier run's outputs were taken")
    started: AwareDatetime = Field(description="UTC")
    finished: AwareDatetime = Field(description="UTC")
    software: str = Field(description="version of Melanosizer")
    inputs: dict[str, tuple[LineageArtifact, ...]]
    outputs: dict[str, tuple[LineageArtifact, ...]]
    configuration: dict[str, Any] = Field(description="the step's parameters")
    configuration_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the configuration above")
    reason: str = Field(default="", description="why it was refused or failed")


class LineageStore:
    """The lineage records of one workspace."""

    def __init__(self, workspace: Path) -> None:
        self._folder = workspace / "registry" / "lineage"

    def write(self, record: LineageRecord) -> Path:
        """Write one record, replacing that of an earlier attempt at the same step."""
        path = self._folder / record.run_id / f"{record.step}.json"
        write_atomic(path, record.model_dump_json(indent=2) + "\n")
        return path

    def run(self, run_id: str) -> list[LineageRecord]:
        """Return the records of one run, in the order its steps ended."""
        return sorted(self._read(self._folder / run_id), key=lambda item: item.finished)

    def all(self) -> list[LineageRecord]:
        """Return every record, oldest first; a file that is not a record is passed over."""
        folders = self._folder.iterdir() if self._folder.is_dir() else ()
        found = [record for folder in folders for record in self._read(folder)]
        return sorted(found, key=lambda item: (item.finished, item.run_id, item.step))

    @staticmethod
    def _read(folder: Path) -> Iterator[LineageRecord]:
        for path in sorted(folder.glob("[!.]*.json")):
            try:
                yield LineageRecord.model_validate_json(path.read_text())
            except (OSError, ValueError):
                continue


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a step's parameters, whatever their order."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()


def scalars(properties: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return what of an artifact's properties a record keeps: single values, none of them null."""
    return {key: value for key, value in properties.items() if isinstance(value, str | float | int | bool)}
