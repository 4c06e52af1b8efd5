"""Writes the lineage records of a run on this machine, from what the runner noted in its metadata store."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from core.records import lineage
from core.records.lineage import ArtifactHashes, LineageArtifact, LineageRecord, LineageStore, State
from pipeline.executions import Artifact, Step

ENDS: dict[str, State] = {"COMPLETE": "COMPLETE", "CACHED": "CACHED"}


def write(steps: Iterable[Step], *, run_id: str, workspace: Path, refused: bool, reason: str) -> None:
    """Write one record a step that began; a failed one was a gate's refusal if ``refused``, and raised ``reason``."""
    store, hashes = LineageStore(workspace), ArtifactHashes()
    software = importlib.metadata.version("melanosizer")
    for step in steps:
        state = ENDS.get(step.state, "REFUSED" if refused else "FAILED")
        configuration = lineage.scalars(step.parameters)
        store.write(
            LineageRecord(
                run_id=run_id,
                step=step.id or step.name,
                target="local",
                state=state,
                started=_time(step.started_ms),
                finished=_time(step.finished_ms),
                software=software,
                inputs={name: _artifacts(items, hashes) for name, items in step.inputs.items()},
                outputs={name: _artifacts(items, hashes) for name, items in step.outputs.items()},
                configuration=dict(configuration),
                configuration_sha256=lineage.configuration_hash(configuration),
                reason=reason if state in {"FAILED", "REFUSED"} else "",
            )
        )


def _artifacts(items: Iterable[Artifact], hashes: ArtifactHashes) -> tuple[LineageArtifact, ...]:
    return tuple(
        LineageArtifact(
            type=item.type,
            uri=item.uri,
            sha256=hashes.of(Path(item.uri)),
            properties=lineage.scalars(item.properties),
        )
        for item in items
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
