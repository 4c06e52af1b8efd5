"""Writes the lineage records of a run on this machine, from what the runner noted in its metadata store."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.hashing import content_hash
from core.records import lineage
from core.records.lineage import LineageArtifact, LineageRecord, LineageStore, State
from pipeline.executions import Step

ENDS: dict[str, State] = {"COMPLETE": "COMPLETE", "CACHED": "CACHED"}


def write(steps: Iterable[Step], *, run_id: str, workspace: Path, refused: bool, reason: str) -> None:
    """Write one record a step that began; a failed one was a gate's refusal if ``refused``, and raised ``reason``."""
    # Each folder is hashed once: a step's input is another step's output.
    store, hash_of = LineageStore(workspace), functools.cache(content_hash)
    software = importlib.metadata.version("melanosizer")

    def hashed(found: Mapping[str, Iterable[LineageArtifact]]) -> dict[str, tuple[LineageArtifact, ...]]:
        return {
            name: tuple(item.model_copy(update={"sha256": hash_of(Path(item.uri))}) for item in items)
            for name, items in found.items()
        }

    for step in steps:
        state = ENDS.get(step.state, "REFUSED" if refused else "FAILED")
        configuration = lineage.scalars(step.parameters)
        store.write(
            LineageRecord(
                run_id=run_id,
                step=step.id or step.name,
                target="local",
                state=state,
                started=step.started,
                finished=step.finished,
                software=software,
                inputs=hashed(step.inputs),
                outputs=hashed(step.outputs),
                configuration=dict(configuration),
                configuration_sha256=lineage.configuration_hash(configuration),
                reason="" if step.state in ENDS else reason,
            )
        )
