"""Steps of a run by their lineage records: what a run on a cluster leaves, which has no metadata store here.

The records are those of `schemas/lineage_record.schema.json`.
"""

from __future__ import annotations

from typing import Any

from core.files import read_json
from core.workspace import Workspace
from dashboard import clock
from dashboard.readers.metadata import Artifact, Node

# The page's words are those of the metadata store, which calls a refusal a failure.
STATES = {"COMPLETE": "COMPLETE", "CACHED": "CACHED", "REFUSED": "FAILED", "FAILED": "FAILED"}


def nodes(workspace: Workspace, run_id: str) -> list[Node]:
    """The steps of a run in the order they began; their artifacts have negative numbers and no page."""
    folder = workspace.lineage / run_id
    if not run_id or folder.parent != workspace.lineage or run_id in (".", ".."):
        return []
    numbers: dict[str, int] = {}
    records = [read_json(path) for path in sorted(folder.glob("[!.]*.json"))]
    found = [_node(record, numbers) for record in records if record]
    return sorted((node for node in found if node), key=lambda node: node.started or 0)


def _node(record: dict[str, Any], numbers: dict[str, int]) -> Node | None:
    try:
        started, ended = clock.parse(record["started"]), clock.parse(record["finished"])
        return Node(
            name=record["step"],
            type=record["step"],
            state=STATES.get(record["state"], "UNKNOWN"),
            started=started,
            seconds=(ended - started) / 1000,
            inputs=_artifacts(record["inputs"], numbers),
            outputs=_artifacts(record["outputs"], numbers),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _artifacts(sides: dict[str, list[dict[str, Any]]], numbers: dict[str, int]) -> tuple[Artifact, ...]:
    return tuple(
        Artifact(
            # One number a place: the same artifact is one step's output and another's input.
            id=numbers.setdefault(item["uri"], -1 - len(numbers)),
            type=item["type"],
            key=key,
            uri=item["uri"],
        )
        for key, items in sides.items()
        for item in items
    )
