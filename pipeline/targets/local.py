"""Runs the pipeline in this process: LocalDagRunner, Beam's own runner, a sqlite metadata store."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from core.errors import UsageError
from core.workspace import Workspace
from pipeline.dag import Locations

PASSWORD_VARIABLE = "MELANOSIZER_METADATA_PASSWORD"  # noqa: S105 - the variable's name, not a password


def locations(
    *,
    workspace: Workspace,
    data: Path,
    data_version: str,
    run_id: str,
    preset: str,
    spans: str = "[]",
    grown_from: str = "[]",
    metadata_url: str | None = None,
) -> Locations:
    """Return where the local target keeps things.

    Raises:
        UsageError: see `connection`.
    """
    return Locations(
        data=str(data.resolve()),
        data_version=data_version,
        artifacts=str(workspace.artifacts.resolve()),
        workspace=str(workspace.root.resolve()),
        cache=str(workspace.cache.resolve()),
        metadata=connection(metadata_url, workspace),
        run_id=run_id,
        preset=preset,
        spans=spans,
        grown_from=grown_from,
    )


def compiled(pipeline: Pipeline, run_id: str) -> pipeline_pb2.Pipeline:
    """Return the pipeline as the runner takes it."""
    result = compiler.Compiler().compile(pipeline)
    # LocalDagRunner would name the run by the time it starts; the caller's name is on everything else.
    runtime_parameter_utils.substitute_runtime_parameter(
        result, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    return result


def run(compiled: pipeline_pb2.Pipeline) -> None:
    """Run every step in order; whatever a step raises comes out."""
    LocalDagRunner().run_with_ir(compiled)


def step_names(compiled: pipeline_pb2.Pipeline) -> list[str]:
    """Return the ids of all steps in the order they run."""
    return [node.pipeline_node.node_info.id for node in compiled.nodes]


def connection(metadata_url: str | None, workspace: Workspace) -> metadata_store_pb2.ConnectionConfig:
    """Return how to reach the metadata store.

    Raises:
        UsageError: the URL is neither mysql:// nor postgresql://, or names no database.
    """
    if metadata_url is None:
        return metadata.sqlite_metadata_connection_config(str(workspace.metadata.resolve()))
    url = urlsplit(metadata_url)
    database = url.path.strip("/")
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if not url.hostname or not database or url.scheme not in {"mysql", "postgresql"}:
        raise UsageError(
            f"metadata_url={metadata_url!r}: must be mysql://user@host:port/database or "
            "postgresql://user@host:port/database"
        )
    if url.password:
        raise UsageError(f"metadata_url: leave the password out of it and set {PASSWORD_VARIABLE}")
    user = unquote(url.username or "")
    if url.scheme == "mysql":
        return metadata.mysql_metadata_connection_config(
            host=url.hostname, port=url.port or 3306, database=database, username=user, password=password
        )
    return metadata_store_pb2.ConnectionConfig(
        postgresql=metadata_store_pb2.PostgreSQLDatabaseConfig(
            host=url.hostname, port=str(url.port or 5432), dbname=database, user=user, password=password
        )
    )
