"""`melanosizer quickstart`: from nothing to a served answer, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import RunFaultError
from core.process import uncollected
from pipeline.commands.options import PresetOption, SetOption, WorkspaceOption, existing, overridden
from pipeline.console import say


def quickstart(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            callback=existing,
            help="Your images, as a folder or table. Without it, synthetic lesions.",
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(min=100, help="The number of synthetic lesions that are drawn without --data.")
    ] = 2000,
    preset: PresetOption = "quick",
    workspace: WorkspaceOption = Path("workspace"),
    overrides: SetOption = None,
) -> None:
    """Make or ingest data, run the pipeline, serve the model, ask it over gRPC, say where to look next.

    Example:  melanosizer quickstart --data ~/isic-images
    """
    from pipeline import config

    settings = config.load(preset, overridden(overrides))

    with uncollected():
        from core.workspace import Workspace
        from pipeline import data_set, demonstration, run, summary

    console = Console()
    place = Workspace(workspace)
    place.prepare()
    with place.locked():
        folder = data_set.ready(data, place, console) if data else data_set.synthetic(place, images, console)
        result = run.execute(
            settings, preset=preset, workspace=place, data=folder, console=console, locked=True
        )
    report = summary.write_report(result, place)
    table = summary.table(result, place, report)
    if result.exit_code == 0:
        answer = demonstration.ask(place, settings.model_name, folder)
        if answer.version != result.version:
            raise RunFaultError(
                f"the server answered with version {answer.version}, but the run released {result.version}"
            )
        table.add_row("one prediction", answer.sentence())
    console.print(table)
    summary.print_refusals(result, console)
    if result.exit_code == 0:
        say(console, "Next:")
        say(console, f"  the report      open {report}")
        say(console, f"  serve           .venv/bin/melanosizer serve --workspace {workspace}")
        say(console, f"  dashboard       .venv/bin/melanosizer dashboard --workspace {workspace}")
        say(
            console,
            "  ask             .venv/bin/melanosizer predict IMAGE.jpg   (in another shell, while `serve` runs)",
        )
        batch = f"predict-batch --workspace {workspace} --images FOLDER --out answers.csv"
        say(console, f"  without server  .venv/bin/melanosizer {batch}")
        say(console, f"  versions        .venv/bin/melanosizer models list --workspace {workspace}")
    raise typer.Exit(result.exit_code)
