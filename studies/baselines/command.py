"""`melanosizer baselines`: the surveyed systems on the product's splits, in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import UsageError
from pipeline.commands.options import DataOption, WorkspaceOption
from pipeline.console import say, table
from studies.options import SeedOption, command_line


def baselines(
    data: DataOption,
    workspace: WorkspaceOption = Path("workspace"),
    version: Annotated[
        str | None,
        typer.Option(help="The released version to compare with. Without it, the one that is served."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="The number of processes that compute the figures.")
    ] = 2,
    seed: SeedOption = 17,
    weights: Annotated[
        str,
        typer.Option(help="The first weights of the frozen network: imagenet, none, or PATH[#sha256=HEX]."),
    ] = "imagenet",
) -> None:
    """Fit the surveyed systems on train, choose thresholds on eval, measure all once on test.

    The ABCD rule, a linear discriminant, k nearest neighbours, networks trained by back-propagation, a genetic
    algorithm and world-cup optimisation, logistic regression on a frozen network, and the released model. Figures
    of the images are computed once and kept in the workspace.

    Example:  melanosizer baselines --data data/ham10000
    """
    from components.ingest.manifest import Manifest
    from components.trainer.data.records import DataError
    from components.trainer.model.backbones.backbone import WeightsFileError, WeightsUnavailableError
    from components.trainer.progress import Progress
    from core.workspace import Workspace
    from pipeline import data_set
    from studies import page
    from studies.baselines import compare, extract, frozen_cnn
    from studies.baselines import page as baselines_page

    console = Console()
    place = Workspace(workspace)
    place.prepare()
    folder = data_set.ready(data, place, console)
    manifest = Manifest.load(folder)
    progress, cache = Progress(), place.cache / "baselines"
    try:
        # First, because weights that cannot be had are known at once.
        network = frozen_cnn.tables(folder, cache, progress, weights)
        rows = compare.compare(
            compare.CLASSICAL, extract.tables(folder, cache, workers, progress), seed, progress
        )
        rows += compare.compare([frozen_cnn.SYSTEM], network, seed, progress)
    except (DataError, WeightsFileError, WeightsUnavailableError) as error:
        raise UsageError(str(error)) from None
    released, missing = compare.released(place, folder, version, manifest.data_version)
    out = place.root / "studies" / "baselines"
    test = manifest.splits["test"]
    facts = [
        ("data", f"{folder}, version {manifest.data_version[:12]}"),
        ("test", f"{test.images} images, {test.positives} positive"),
        ("seed", str(seed)),
        ("first weights of the frozen network", weights),
        ("command", command_line()),
    ]
    path = page.write(baselines_page.page(rows, released, facts, missing), out / page.FILE_NAME)
    everything = [*rows, *([released] if released else [])]
    (out / "rows.json").write_text(
        json.dumps([row.model_dump(mode="json") for row in everything], indent=1) + "\n"
    )
    title = f"test: {test.images} images, {test.positives} positive"
    headings = ("system", "AUC", "sensitivity", "specificity", "figures", "fitting")
    ranked = sorted(everything, key=lambda one: -one.auc.value)
    console.print(table(title, headings, [baselines_page.cells(row) for row in ranked]))
    if missing:
        say(console, missing)
    say(console, f"report: {path}")
