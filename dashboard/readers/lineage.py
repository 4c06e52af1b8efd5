"""Steps of a run by their lineage records: what a run on a cluster leaves, which has no metadata store here.

The records are those of `schemas/lineage_record.schema.json`.
"""

from __future__ import annotations

from core.records.lineage import LineageArtifact, LineageStore
from core.records.times import milliseconds
from core.workspace import Workspace
from dashboard.readers.metadata import Artifact, Node


def nodes(workspace: Workspace, run_id: str) -> list[Node]:
    """The steps of a run in the order they began; their artifacts have negative numbers and no page.

    The words are those of the metadata store, which calls a refusal a failure.
    """
    folder = workspace.lineage / run_id
    if not run_id or folder.parent != workspace.lineage or run_id in (".", ".."):
        return []
    # One number a place: the same artifact is one step's output and another's input.
    numbers: dict[str, int] = {}

    def artifacts(sides: dict[str, tuple[LineageArtifact, ...]]) -> tuple[Artifact, ...]:
        return tuple(
            Artifact(id=numbers.setdefault(one.uri, -1 - len(numbers)), type=one.type, key=key, uri=one.uri)
            for key, items in sides.items()
            for one in items
        )

    return [
        Node(
            name=record.step,
            type=record.step,
            state="FAILED" if record.state == "REFUSED" else record.state,
            started=milliseconds(record.started),
            seconds=(record.finished - record.started).total_seconds(),
            inputs=artifacts(record.inputs),
            outputs=artifacts(record.outputs),
        )
        for record in sorted(LineageStore(workspace.root).run(run_id), key=lambda one: one.started)
    ]
