"""`melanosizer submit`: run the pipeline on a cluster."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from core.errors import REFUSED, UsageError
from pipeline.commands import compile as compiling
from pipeline.commands.options import SetOption, overridden
from pipeline.console import say
from pipeline.targets.kubeflow.following import ending, follow

if TYPE_CHECKING:
    from pipeline.targets.kubeflow.client import Kubeflow
    from pipeline.targets.vertex import Vertex

ROOTS = {"kubeflow": ("gs://", "s3://", "minio://"), "vertex": ("gs://",)}


def submit(
    image: compiling.ImageOption,
    target: compiling.TargetOption = compiling.Target.kubeflow,
    preset: compiling.ConfigOption = "quick",
    data: compiling.DataOption = "",
    workspace: compiling.WorkspaceOption = "",
    cluster: compiling.ClusterOption = None,
    overrides: SetOption = None,
    root: Annotated[
        str, typer.Option(help="The pipeline root: gs://, s3:// or minio://. Without it, the server's own.")
    ] = "",
    experiment: Annotated[
        str, typer.Option(help="The name of the experiment that groups runs.")
    ] = "melanosizer",
    name: Annotated[str, typer.Option(help="The name of the run. Without it, preset and time.")] = "",
    cron: Annotated[
        str,
        typer.Option(help="Runs again at these times: KFP takes six fields (seconds first), Vertex five."),
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follows the run to its end.")] = False,
    limit_hours: Annotated[
        float, typer.Option(min=0.0, help="The hours after which --wait stops following.")
    ] = 48.0,
    host: Annotated[
        str, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="The URL of the API of Kubeflow Pipelines.")
    ] = "http://localhost:8888",
    namespace: Annotated[str, typer.Option(help="The profile on a multi-user server of Kubeflow.")] = "",
    token: Annotated[
        str,
        typer.Option(
            envvar="KF_PIPELINES_TOKEN", help="The bearer token for Kubeflow, better given by its variable."
        ),
    ] = "",
    project: Annotated[str, typer.Option(help="The Google Cloud project for Vertex AI.")] = "",
    location: Annotated[str, typer.Option(help="The Google Cloud region for Vertex AI.")] = "",
    service_account: Annotated[
        str,
        typer.Option(help="The service account that the steps run as. Without it, the cluster's own choice."),
    ] = "",
) -> None:
    """Compile the pipeline and run it on a cluster.

    With --wait it ends as `melanosizer run` does: 0 when a version was pushed or nothing changed, 3 when a
    gate refused, 1 when a step failed; 2 when the cluster or the configuration cannot be used.

    Example:  melanosizer submit --target kubeflow --config quick --image registry/melanosizer:1 --data /data --wait
    """
    from pipeline import config

    _check(target, root, cron, wait)
    settings = config.load(preset, overridden(overrides))
    console = Console()
    if target is compiling.Target.kubeflow and root.startswith("s3://"):
        say(
            console,
            f"note: --root {root}: KFP's launcher reads s3:// only with `providers` in the namespace's ConfigMap "
            "kfp-launcher (docs/kubeflow.md); without, the first step fails",
        )
    service: Kubeflow | Vertex
    if target is compiling.Target.kubeflow:
        from pipeline.targets.kubeflow.client import Kubeflow

        service = Kubeflow(host, namespace=namespace, token=token, service_account=service_account)
    else:
        from pipeline.targets.vertex import Vertex

        service = Vertex(project, location, service_account=service_account)
    title = name or f"{Path(preset).stem} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    given = {"data": data, "workspace": workspace, "preset": Path(preset).stem}
    parameters = {key: value for key, value in given.items() if value}
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / (
            "pipeline.yaml" if target is compiling.Target.kubeflow else "pipeline.json"
        )
        compiling.write(
            settings,
            target,
            package,
            image=image,
            preset=preset,
            cluster=cluster,
            data=data,
            workspace=workspace,
        )
        run_id = service.submit(
            package, experiment=experiment, name=title, root=root, parameters=parameters, cron=cron
        )
    if cron:
        say(console, f"recurring run {run_id}: {cron}")
        return
    say(console, f"run {run_id}\n{service.page(run_id)}")
    if wait:
        raise typer.Exit(watch(service, run_id, console, limit_hours))


def watch(service: Kubeflow | Vertex, run_id: str, console: Console, limit_hours: float = 48.0) -> int:
    """Follow a run to its end; print how it ended and return the exit code."""
    final = follow(lambda: service.read(run_id), console, limit_seconds=limit_hours * 3600)
    exit_code, reason = ending(final, lambda step: service.log(run_id, step))
    words = {0: "succeeded", REFUSED: "[bold yellow]refused[/]"}.get(exit_code, "[bold red]failed[/]")
    say(console, f"run {run_id} {words}")
    if reason:
        say(console, reason, markup=False)
    return exit_code


def _check(target: compiling.Target, root: str, cron: str, wait: bool) -> None:
    if root and not root.startswith(ROOTS[target]):
        raise UsageError(f"--root {root}: must begin with {', '.join(ROOTS[target])}")
    if target is compiling.Target.vertex and not root:
        raise UsageError("--root: Vertex AI needs one, e.g. gs://bucket/pipelines")
    fields = 6 if target is compiling.Target.kubeflow else 5
    if cron and not cron.startswith(("@", "TZ=", "CRON_TZ=")) and len(cron.split()) != fields:
        raise UsageError(
            f"--cron {cron!r}: {target} takes {fields} fields, e.g. {'0 ' * (fields - 5)}0 3 * * 1"
        )
    if cron and wait:
        raise UsageError("--wait: a recurring run has no end; leave out one of --cron and --wait")
