"""The first step of a run on a cluster: which data there are, and which earlier results they are held against.

The rules are those of the local run's resolvers, applied to the lineage records instead of ML Metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.components.evaluator import constants
from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.types import artifact as tfx_artifact
from tfx.utils import import_utils

from components.ingest.manifest import Manifest
from core.records.lineage import LineageArtifact, LineageRecord, LineageStore
from core.workspace import MARKER
from pipeline.targets.kubeflow import places, templates

Found = dict[str, dict[str, Any]]


def look_up(data: Path, workspace: Path, queries: str, store: str) -> dict[str, str]:
    """Return the output parameters: the data's version, spans and earlier versions, and what each resolver found, as JSON.

    Nothing is found outside of ``store``, scheme and bucket of the run's own object store: the workspace may hold
    records of local runs and of other stores, and the launcher takes no artifact that it cannot download (KFP's
    backend/src/v2/objectstore/config.go, ParseBucketConfig).

    Raises:
        IngestError: the folder holds no ingested data set.
    """
    manifest = Manifest.load(data)
    # A fresh volume becomes a workspace, which the other commands ask for; whatever a volume comes with stays.
    workspace.mkdir(parents=True, exist_ok=True)
    (workspace / MARKER).touch()
    records = [_within(record, store) for record in LineageStore(workspace).all()]
    # No other value is known before this step has ended.
    asked = json.loads(templates.filled(queries, {templates.DATA_VERSION: manifest.data_version}))
    result = {
        templates.DATA_VERSION: manifest.data_version,
        templates.SPANS: manifest.label_counts_of_spans(),
        templates.GROWN_FROM: json.dumps(manifest.grown_from),
    }
    for step, query in asked.items():
        strategy = import_utils.import_class_by_path(query["strategy"])(**query["config"])
        found = resolve(strategy, query["types"], records)
        result[step.replace("-", "_")] = json.dumps(found, sort_keys=True)
    return result


def resolve(strategy: ResolverStrategy, types: dict[str, str], records: Iterable[LineageRecord]) -> Found:
    """Ask a resolver's own rule which artifacts it takes; return them by input, without those it lacks.

    Types are by input, e.g. ``{"accepted": "tfx.HyperParameters"}``, records the oldest first.
    """
    known = _artifacts(records)
    classes = {
        key: import_utils.import_class_by_path(compiler_utils.TITLE_TO_CLASS_PATH[title])
        for key, title in types.items()
    }
    candidates = {
        key: [
            _rebuilt(kind, number, item, known)
            for uri, (number, item) in known.items()
            if item.type == kind.TYPE_NAME
        ]
        for key, kind in classes.items()
    }
    chosen = strategy.resolve_artifacts(None, candidates) or {}
    return {
        key: {"uri": items[0].uri, "properties": known[items[0].uri][1].properties}
        for key, items in chosen.items()
        if items
    }


def _within(record: LineageRecord, store: str) -> LineageRecord:
    """Return the record without the outputs that lie elsewhere."""
    outputs = {
        name: tuple(item for item in items if places.store(item.uri) == store)
        for name, items in record.outputs.items()
    }
    return record.model_copy(update={"outputs": outputs})


def _artifacts(records: Iterable[LineageRecord]) -> dict[str, tuple[int, LineageArtifact]]:
    """Return every artifact that was left, by URI, numbered in the order they came to be."""
    result: dict[str, tuple[int, LineageArtifact]] = {}
    for record in records:
        if record.state != "COMPLETE":
            continue
        for items in record.outputs.values():
            for item in items:
                result.setdefault(item.uri, (len(result) + 1, item))
    return result


def _rebuilt(
    kind: Any, number: int, item: LineageArtifact, known: dict[str, tuple[int, LineageArtifact]]
) -> tfx_artifact.Artifact:
    result = kind()
    message = metadata_store_pb2.Artifact(id=number, uri=item.uri)
    for key, value in item.properties.items():
        if isinstance(value, str):
            message.custom_properties[key].string_value = value
        else:
            message.custom_properties[key].int_value = int(value)
    # A blessing names its model by the number of another store; the URI is the same in all of them.
    model = known.get(str(item.properties.get(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY)))
    if model is not None:
        message.custom_properties[constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY].int_value = model[0]
    result.set_mlmd_artifact(message)
    return result
