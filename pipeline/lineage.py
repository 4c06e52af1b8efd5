"""Writes the lineage records of a run on this machine, from what the runner noted in its metadata store."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from core.hashing import content_hash
from core.records import lineage
from core.records.lineage import LineageArtifact, LineageRecord, LineageStore, State
from pipeline.executions import Artifact, Step

ENDS: dict[str, State] = {"COMPLETE": "COMPLETE", "CACHED": "CACHED"}


def write(steps: Iterable[Step], *, run_id: str, workspace: Path, refused: bool, reason: str) -> None:
    """Write one record a step that began; a failed one was a gate's refusal if ``refused``, and raised ``reason``."""
    # Each folder is hashed once: a step's input is another step's output.
    store, hash_of = LineageStore(workspace), functools.cache(content_hash)
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
                inputs={name: _artifacts(items, hash_of) for name, items in step.inputs.items()},
                outputs={name: _artifacts(items, hash_of) for name, items in step.outputs.items()},
                configuration=dict(configuration),
                configuration_sha256=lineage.configuration_hash(configuration),
                reason=reason if state in {"FAILED", "REFUSED"} else "",
            )
        )


def _artifacts(
    items: Iterable[Artifact], hash_of: Callable[[Path], str | None]
) -> tuple[LineageArtifact, ...]:
    return tuple(
        LineageArtifact(
            type=item.type,
            uri=item.uri,
            sha256=hash_of(Path(item.uri)),
            properties=lineage.scalars(item.properties),
        )
        for item in items
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
