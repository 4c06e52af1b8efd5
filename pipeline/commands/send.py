"""`melanosizer send`: tell other tools of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import UsageError
from core.features import MODEL_NAME
from pipeline.commands.options import RunOption, WorkspaceOption
from pipeline.console import say


def send(
    workspace: WorkspaceOption = Path("workspace"),
    run_id: RunOption = None,
    mlflow: Annotated[
        str,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI",
            help="The URI of an MLflow tracking server. Without it, none is told.",
        ),
    ] = "",
    experiment: Annotated[
        str, typer.Option(help="The name of the experiment on the MLflow server.")
    ] = "melanosizer",
    openlineage: Annotated[
        str,
        typer.Option(
            envvar="OPENLINEAGE_URL", help="The URL of an OpenLineage server. Without it, none is told."
        ),
    ] = "",
) -> None:
    """Send a run to an MLflow server, to an OpenLineage server, or to both.

    MLflow gets parameters, measures, each epoch, the report and the cards, and a pushed model as a version of its
    registry; a run it has already is left as it is. OpenLineage gets a start and an end of each step. Needs the
    extra `mlflow` or `openlineage`.

    Example:  melanosizer send --workspace workspace --mlflow http://127.0.0.1:5000
    """
    if not mlflow and not openlineage:
        raise UsageError("name where to: --mlflow URI, --openlineage URL, or both")
    from core.registry.store import Registry
    from core.workspace import Workspace
    from pipeline.ecosystem import finished_run

    place = Workspace(workspace)
    found = finished_run.find(place, run_id)
    console = Console()
    if mlflow:
        from pipeline.ecosystem import mlflow_server

        model_name = str(found.config.get("model_name", MODEL_NAME))
        stable = Registry(place.root, model_name).channels().stable
        sent = mlflow_server.send(found, mlflow, experiment=experiment, model_name=model_name, stable=stable)
        say(console, f"run {found.outcome.run_id} is {sent} on {mlflow}")
    if openlineage:
        from pipeline.ecosystem import openlineage_server

        count = openlineage_server.send(found, openlineage)
        say(console, f"{count} events of run {found.outcome.run_id} sent to {openlineage}")
