"""`melanosizer run`: one run of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import UsageError

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="Folder for everything that is made.", show_default=True)
]
PresetOption = Annotated[
    str, typer.Option("--preset", "-p", help="A preset's name, or the path of a YAML file like one.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one value by its dotted key: --set evaluator.min_auc=0.85"),
]


def run(
    data: Annotated[
        Path,
        typer.Option(
            "--data", "-d", help="An ingested data set, or images: a folder or table that ingest understands."
        ),
    ],
    preset: PresetOption = "quick",
    workspace: WorkspaceOption = Path("workspace"),
    overrides: SetOption = None,
) -> None:
    """Train, judge and, if it is good, release a model.

    Ends with 0 when a version was pushed or nothing changed, 3 when a gate refused, 1 when a step
    failed, 2 when the data or the configuration cannot be used.

    Example:  melanosizer run --data data/ham10000 --preset quick
    """
    from core.workspace import Workspace
    from pipeline import config, data_set, run, summary

    console = Console()
    settings = config.load(preset, pairs(overrides))
    place = Workspace(workspace)
    place.prepare()
    folder = data_set.ready(data, place, console)
    result = run.execute(settings, preset=preset, workspace=place, data=folder, console=console)
    report = summary.write_report(result, place)
    console.print(summary.table(result, place, report))
    summary.print_refusals(result, console)
    raise typer.Exit(result.exit_code)


def pairs(overrides: list[str] | None) -> dict[str, str]:
    """Split ``key=value`` strings.

    Raises:
        UsageError: one has no equals sign.
    """
    result = {}
    for text in overrides or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: write key=value, e.g. --set evaluator.min_auc=0.85")
        result[key] = value
    return result
