"""`melanosizer evaluate`: measure a released version on a data set it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import UsageError
from pipeline.commands.options import (
    DataOption,
    PresetOption,
    SetOption,
    VersionOption,
    WorkspaceOption,
    overridden,
    released_model,
)
from pipeline.console import say, table


def evaluate(
    data: DataOption,
    version: VersionOption = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The folder of a SavedModel that is measured instead of a released version."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="The split that is measured: train, eval, test, or all.")
    ] = "test",
    preset: PresetOption = "quick",
    workspace: WorkspaceOption = Path("workspace"),
    overrides: SetOption = None,
) -> None:
    """Measure a model and judge it by the preset's limits; nothing is released or changed.

    Ends with 0 when it holds the limits, 3 when it does not.

    Example:  melanosizer evaluate --data data/isic2020 --split all
    """
    from core.features import SPLITS
    from pipeline import config

    settings = config.load(preset, overridden(overrides)).evaluator
    if split not in (*SPLITS, "all"):
        raise UsageError(f"--split {split}: valid are {', '.join(SPLITS)} and all")

    from components.evaluator import judge, measured, predictions
    from components.evaluator.model import Model
    from components.ingest.errors import IngestError
    from components.ingest.manifest import Manifest
    from core.measures.summary import measure

    try:
        manifest = Manifest.load(data)
        manifest.verify(data)
    except IngestError as error:
        raise UsageError(f"--data {data}: {error}") from None
    folder = model or released_model(workspace, version)
    wanted = SPLITS if split == "all" else (split,)
    files = [data / shard.file for name in wanted for shard in manifest.splits[name].shards]
    answers = [answer for answer, _ in predictions.predict(Model(folder), files)]
    if not answers:
        raise UsageError(f"--split {split}: {data} holds no image of it")
    labels, scores = predictions.arrays(answers)
    measures = measure(
        labels,
        scores,
        answers[0].threshold,
        samples=settings.bootstrap_samples,
        confidence=settings.confidence,
    )
    slices = measured.from_predictions(answers, settings.slices)
    verdict = judge.judge(settings, slices, baseline_auc=None)
    names = ("auc", "partial_auc", "sensitivity", "specificity", "ece", "brier")
    rows = [
        ("images", f"{measures.images}, {measures.positives} of them melanoma"),
        *((name, str(getattr(measures, name))) for name in names),
    ]
    console = Console()
    console.print(table(f"{folder} on {split} of {data}", ("", ""), rows))
    for check in verdict.refusals:
        say(console, f"[red]below the limit:[/] {check.sentence()}")
    raise typer.Exit(0 if verdict.passed else 3)
