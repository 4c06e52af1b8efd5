"""`melanosizer run`: one run of the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.process import uncollected
from pipeline.commands.options import DataOption, PresetOption, SetOption, WorkspaceOption, overridden


def run(
    data: DataOption,
    preset: PresetOption = "quick",
    spans: Annotated[
        str | None,
        typer.Option(help="The numbers of the spans of the data that are taken, as in 2-4. Without it, all."),
    ] = None,
    workspace: WorkspaceOption = Path("workspace"),
    overrides: SetOption = None,
    external: Annotated[
        list[str] | None,
        typer.Option(
            "--external",
            metavar="NAME:PATH",
            help=(
                "Pictures from elsewhere that the model is measured on beside its own test split; nothing is fitted "
                "on them, and copies of our own images are left out. PATH is anything that --data takes. May be "
                "repeated."
            ),
        ),
    ] = None,
) -> None:
    """Train, judge and, if it is good, release a model.

    Ends with 0 when a version was pushed or nothing changed, 3 when a gate refused, 1 when a step
    failed, 2 when the data or the configuration cannot be used.

    Example:  melanosizer run --data data/ham10000 --preset quick
    """
    from pipeline import config

    settings = config.load(preset, overridden(overrides))

    with uncollected():
        from core.workspace import Workspace
        from pipeline import data_set, run, summary, unseen_sources
        from pipeline import external as external_data

    console = Console()
    place = Workspace(workspace)
    place.prepare()
    with place.locked():
        folder = data_set.ready(data, place, console, spans)
        settings = external_data.prepared(settings, external or (), folder, place, console)
        result = run.execute(
            settings, preset=preset, workspace=place, data=folder, console=console, locked=True
        )
        if settings.evaluator.leave_source_out and result.model:
            unseen_sources.measure(settings, result, preset=preset, workspace=place, console=console)
    report = summary.write_report(result, place)
    console.print(summary.table(result, place, report))
    summary.print_refusals(result, console)
    raise typer.Exit(result.exit_code)
