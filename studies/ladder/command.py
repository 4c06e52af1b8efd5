"""`melanosizer study ladder`: the first study's networks, rung by rung."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import FAULT, UsageError
from pipeline.commands.options import DataOption, WorkspaceOption
from pipeline.console import say, table
from studies.options import SeedOption, command_line

WIDE = 140  # columns of a terminal that holds every figure of a rung


def ladder(
    data: DataOption,
    workspace: WorkspaceOption = Path("workspace"),
    rungs: Annotated[
        str, typer.Option(help="The rungs, by name or the beginning of a name, with commas. Without it, all.")
    ] = "",
    budget: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="The minutes of training for the whole ladder, in equal shares. Without it, no limit.",
        ),
    ] = None,
    train_images: Annotated[
        int | None, typer.Option(min=16, help="The number of images of the training split. Without it, all.")
    ] = None,
    eval_images: Annotated[
        int | None,
        typer.Option(min=8, help="The number of images of eval and of test, each. Without it, all."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="The first weights instead of ImageNet's download: BACKBONE=PATH#sha256=HEX. May be repeated."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Trains the rungs even if they are done.")] = False,
    seed: SeedOption = 17,
) -> None:
    """Train the first study's networks rung by rung, one split, seed and budget for all, and compare them.

    Rungs that are done are not trained again, and stay in the table; one that starts from another brings it along.
    The report has the table and the curves; each rung is also a run of the workspace, for the dashboard's
    comparison. Nothing is released.

    Example:  melanosizer study ladder --data data/ham10000 --rungs base,vgg16 --budget 60
    """
    from components.trainer.data.records import DataError
    from components.trainer.model.backbones.backbone import WeightsFileError
    from components.trainer.progress import Progress
    from core.workspace import Workspace
    from pipeline import data_set
    from studies import page
    from studies.ladder import page as ladder_page
    from studies.ladder import rungs as presets
    from studies.ladder import runner

    console = Console()
    wanted = presets.chosen([text.strip() for text in rungs.split(",") if text.strip()])
    everything = presets.with_weights(presets.presets(), weights or [])
    place = Workspace(workspace)
    place.prepare()
    folder = data_set.ready(data, place, console)
    report = place.root / "studies" / "ladder" / page.FILE_NAME
    facts = [("data", str(folder)), ("seed", str(seed)), ("command", command_line())]

    def written(found: runner.LadderResult) -> None:
        if found.results:
            page.write(ladder_page.page(found.results, found.failures, len(everything), facts), report)

    try:
        found = runner.run(
            everything,
            wanted,
            folder,
            place,
            runner.Options(budget, train_images, eval_images, seed, again),
            Progress(),
            written,
        )
    except (DataError, WeightsFileError) as error:
        raise UsageError(str(error)) from None
    written(found)
    for name, reason in found.failures.items():
        say(console, f"[red]failed:[/] {name}: {reason}")
    results = found.results
    if not results:
        raise typer.Exit(FAULT)
    # Of a narrow terminal's lines what matters most; the report has everything.
    cells = [ladder_page.cells(row) for row in results]
    shown = [cell for cell in cells[0] if console.width >= WIDE or cell in ladder_page.SHORT]
    title = f"test: {results[0].images} images, {results[0].positives} positive"
    console.print(table(title, shown, [[row[cell] for cell in shown] for row in cells]))
    say(console, f"report: {report}")
    if found.failures:
        raise typer.Exit(FAULT)
