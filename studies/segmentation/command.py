"""`melanosizer study segmentation`: a U-Net, and whether cutting lesions out helps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import REFUSED, UsageError
from pipeline.commands.options import WorkspaceOption, overridden
from pipeline.console import say, table
from studies.options import SeedOption, command_line

PARTS = ("unet", "experiment", "vgg16")


def segmentation(
    data: Annotated[
        Path, typer.Option("--data", "-d", help="A folder with images/ and masks/, and labels in pairs.csv.")
    ],
    workspace: WorkspaceOption = Path("workspace-segmentation"),
    parts: Annotated[
        str, typer.Option(help=f"The parts that are run, with commas: {', '.join(PARTS)}.")
    ] = "unet,experiment",
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Overrides one value of the U-Net that is released: --set depth=5. May be repeated."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="The number of folds of the experiment.")] = 5,
    fold_epochs: Annotated[
        int, typer.Option(min=1, help="The epochs of each fold's U-Net, at the study's 64 x 80 pixels.")
    ] = 30,
    weights: Annotated[
        str, typer.Option(help="The first weights of the classifiers: imagenet, none, or PATH[#sha256=HEX].")
    ] = "imagenet",
    vgg_epochs: Annotated[
        int, typer.Option(min=1, help="The epochs that VGG-16's fifth block is trained for.")
    ] = 8,
    vgg_size: Annotated[
        int, typer.Option(min=32, max=224, help="The side of VGG-16's pictures in pixels.")
    ] = 128,
    seed: SeedOption = 17,
) -> None:
    """Train a U-Net as a pipeline of its own, release it, and ask whether cutting lesions out helps a classifier.

    unet: train, judge by Jaccard and Dice, push; then `melanosizer serve --workspace WORKSPACE` answers `segment`.
    experiment: one classifier on whole images, cut by the true and by the predicted mask. vgg16: the same with
    VGG-16, its fifth block fine-tuned.

    Example:  melanosizer study segmentation --data data/isic2017
    """
    from components.trainer.model.backbones.backbone import WeightsFileError
    from components.trainer.progress import Progress
    from core.workspace import Workspace
    from pipeline.config import override, validated
    from studies import page
    from studies.segmentation import experiment, measured, runner
    from studies.segmentation import page as segmentation_page
    from studies.segmentation.classifiers import FifthBlock, FrozenLinear
    from studies.segmentation.config import STUDY, SegmentationConfig
    from studies.segmentation.experiment import SegmentationStudy

    wanted = [part.strip() for part in parts.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in PARTS]
    if unknown or not wanted:
        raise UsageError(f"--parts {parts}: valid are {', '.join(PARTS)}, with commas")
    content: dict[str, object] = {"seed": seed}
    override(content, overridden(overrides))
    config = validated(SegmentationConfig, content, "study segmentation")
    place = Workspace(workspace)
    place.prepare()
    console, progress = Console(), Progress()
    folder, version = runner.write_pairs(data, place, seed)
    files = sorted(folder.glob("*/*.tfrecord.gz"))
    try:
        if wanted != ["unet"]:
            experiment.check(files, folds)  # before an hour of training
    except ValueError as error:
        raise UsageError(f"--parts {parts}: {error}") from None
    out = place.root / "studies" / "segmentation"
    out.mkdir(parents=True, exist_ok=True)
    about = {"data_version": version, "folds": folds, "fold_epochs": fold_epochs, "seed": seed}
    kept = SegmentationStudy.load(out, about)
    run = runner.run_pipeline(config, folder, version, place, console) if "unet" in wanted else None
    if run is not None:
        kept = kept.model_copy(update={"unet_run": run.run_id})
    elif kept.unet_run and place.run(kept.unet_run).is_dir():
        run = runner.collect(kept.unet_run, place)
    galleries = runner.gallery(run, folder) if run else []
    kept.save(out)
    if wanted != ["unet"]:
        fold_config = STUDY.model_copy(update={"epochs": fold_epochs, "seed": seed})
        try:
            given = experiment.material(files, fold_config, folds, seed, progress)
            for part in wanted:
                if part != "unet":
                    vgg = part == "vgg16"
                    classifier = FifthBlock(weights, vgg_size, vgg_epochs) if vgg else FrozenLinear(weights)
                    result = experiment.run(given, classifier, seed, progress)
                    kept = kept.with_result(result, float(given.jaccard.mean()))
                    kept.save(out)
        except (ValueError, WeightsFileError) as error:
            raise UsageError(str(error)) from None
    results = kept.results
    facts = [
        ("data", f"{data}, version {version[:12]}"),
        ("seed", str(seed)),
        ("command", command_line()),
    ]
    report = page.write(
        segmentation_page.page(run, galleries, results, kept.out_of_fold_jaccard, facts), out / page.FILE_NAME
    )
    if run is not None:
        rows = [
            ("pairs", str(len(run.scores))),
            ("Jaccard", str(measured.interval([score.jaccard for score in run.scores]))),
            ("Dice", str(measured.interval([score.dice for score in run.scores]))),
            ("version", run.version or "none pushed"),
        ]
        console.print(table("U-Net on held-out pairs", ("", ""), rows))
    for result in results:
        arms = [
            (
                arm.variant,
                *map(str, (arm.auc, arm.accuracy, arm.sensitivity, arm.specificity)),
                "" if arm.p_auc is None else f"{arm.p_auc:.3f}",
            )
            for arm in result.arms
        ]
        headings = ("images", "AUC", "accuracy", "sensitivity", "specificity", "p")
        console.print(table(f"{result.classifier} (first weights: {result.weights})", headings, arms))
        say(console, result.sentence)
    say(console, f"report: {report}")
    if run is not None and "unet" in wanted:
        refusals = [check for verdict in run.verdicts for check in verdict.refusals]
        for check in refusals:
            say(console, f"[red]refused:[/] {check.sentence()}")
        if refusals:
            raise typer.Exit(REFUSED)
