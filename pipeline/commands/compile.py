"""`melanosizer compile`: the pipeline as a file that a cluster runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import UsageError
from pipeline.commands.options import SetOption, overridden

if TYPE_CHECKING:
    from pipeline.config import RunConfig


class Target(StrEnum):
    """Where the compiled pipeline is to run."""

    kubeflow = "kubeflow"
    vertex = "vertex"


TargetOption = Annotated[
    Target, typer.Option("--target", "-t", help="The target: Kubeflow Pipelines or Vertex AI.")
]
ConfigOption = Annotated[
    str,
    typer.Option(
        "--config", "--preset", "-p", help="The name of a preset, or the path of a YAML file like one."
    ),
]
ImageOption = Annotated[
    str, typer.Option("--image", "-i", help="The pipeline's container image, as the cluster pulls it.")
]
ClusterOption = Annotated[
    Path | None,
    typer.Option(
        "--cluster",
        help="A YAML file of volumes, secrets, resources and nodes of the steps, see docs/kubeflow.md.",
    ),
]
DataOption = Annotated[
    str,
    typer.Option("--data", "-d", help="The ingested data set, as the containers see it: a path or gs://."),
]
WorkspaceOption = Annotated[
    str, typer.Option("--workspace", "-w", help="The workspace, as the containers see it: a path or gs://.")
]


def compile(
    image: ImageOption,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The file that is written: .yaml for kubeflow, .json for vertex."),
    ],
    target: TargetOption = Target.kubeflow,
    preset: ConfigOption = "quick",
    data: DataOption = "",
    workspace: WorkspaceOption = "",
    cluster: ClusterOption = None,
    overrides: SetOption = None,
) -> None:
    """Write the pipeline for a cluster, checked against what the cluster takes.

    Data and workspace are parameters of the run; what is given here are their defaults.

    Example:  melanosizer compile --target kubeflow --config quick --image registry/melanosizer:1 --out p.yaml
    """
    from pipeline import config

    settings = config.load(preset, overridden(overrides))
    write(settings, target, out, image=image, preset=preset, cluster=cluster, data=data, workspace=workspace)
    print(out)


def write(
    settings: RunConfig,
    target: Target,
    out: Path,
    *,
    image: str,
    preset: str,
    cluster: Path | None,
    data: str,
    workspace: str,
) -> None:
    """Compile into ``out``.

    Raises:
        UsageError: a file's ending, a place or the cluster's description does not fit the target.
    """
    ending = ".yaml" if target is Target.kubeflow else ".json"
    if out.suffix not in {ending, ".yml" if ending == ".yaml" else ending}:
        raise UsageError(f"--out {out}: --target {target} writes a {ending} file")
    if not image.strip():
        raise UsageError("--image: name the pipeline's container image, e.g. registry.example/melanosizer:1")
    for option, place in (("--data", data), ("--workspace", workspace)):
        _check_place(target, option, place)

    from pipeline.targets.kubeflow import cluster as clusters
    from pipeline.targets.kubeflow import lint
    from pipeline.targets.kubeflow import write as documents

    described = clusters.load(cluster)
    changes = {key: value for key, value in (("data", data), ("workspace", workspace)) if value}
    described = described.model_copy(update=changes)
    name = Path(preset).stem
    made: list[dict[str, Any]]
    if target is Target.kubeflow:
        made = documents.kubeflow(settings, image=image, preset=name, cluster=described)
        wrong = lint.check(made[0])
        if wrong:
            raise UsageError("the compiled pipeline would not run: " + "; ".join(wrong))
    else:
        made = [documents.vertex(settings, image=image, preset=name, cluster=described)]
    documents.save(made, out, f"melanosizer compile --target {target} --config {preset} --image {image}")


def _check_place(target: Target, option: str, place: str) -> None:
    if target is Target.vertex and not place.startswith("gs://"):
        raise UsageError(f"{option} {place or '(not given)'}: Vertex AI has no volumes; name a gs:// folder")
    if target is Target.kubeflow and place and not place.startswith("/"):
        raise UsageError(
            f"{option} {place}: must be an absolute path on a volume the containers mount; "
            "KFP downloads artifacts from an object store, but no other files"
        )
