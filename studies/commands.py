"""`melanosizer study`: the two studies this product grew from, on data of your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from core.errors import FAULT, REFUSED, UsageError
from pipeline.commands.run import WorkspaceOption

if TYPE_CHECKING:
    from pydantic import BaseModel

    from studies.segmentation.classifiers import FoldClassifier
    from studies.segmentation.experiment import Result

Config = TypeVar("Config", bound="BaseModel")

study = typer.Typer(
    help="Run the studies behind the product: the ladder, segmentation, the retrain flow.",
    no_args_is_help=True,
)

DataOption = Annotated[
    Path,
    typer.Option(
        "--data", "-d", help="An ingested data set, or images: a folder or table that ingest understands."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")]
WIDE = 140  # columns of a terminal that holds every figure of a rung
PARTS = ("unet", "experiment", "vgg16")


@study.command("ladder")
def ladder(
    data: DataOption,
    workspace: WorkspaceOption = Path("workspace"),
    rungs: Annotated[
        str, typer.Option("--rungs", help="Names or their beginnings, with commas; default: all.")
    ] = "",
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget",
            min=0.01,
            help="Minutes of training for the whole ladder, in equal shares; default: no limit.",
        ),
    ] = None,
    train_images: Annotated[
        int | None, typer.Option("--train-images", min=16, help="Of the training split; default: all.")
    ] = None,
    eval_images: Annotated[
        int | None, typer.Option("--eval-images", min=8, help="Of eval and of test, each; default: all.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option("--weights", help="Instead of ImageNet's download: BACKBONE=PATH#sha256=HEX."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Train the rungs even where they are done.")] = False,
    seed: SeedOption = 17,
) -> None:
    """Train the first study's networks rung by rung, one split, seed and budget for all, and compare them.

    Rungs that are done are not trained again, and stay in the table; one that starts from another brings it along.
    The report has the table and the curves; each rung is also a run of the workspace, for the dashboard's
    comparison. Nothing is released.

    Example:  melanosizer study ladder --data data/ham10000 --rungs base,vgg16 --budget 60
    """
    from components.trainer.data.records import DataError
    from components.trainer.model.backbones.errors import WeightsFileError
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
    command = f"melanosizer study ladder --data {data} --workspace {workspace} --seed {seed}"
    for name, value in (
        ("rungs", rungs), ("budget", budget), ("train-images", train_images), ("eval-images", eval_images)
    ):  # fmt: skip
        command += f" --{name} {value}" if value else ""
    command += "".join(f" --weights {text}" for text in weights or [])
    facts = [("data", str(folder)), ("seed", str(seed)), ("command", command)]

    def written(found: runner.Climbed) -> None:
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
        console.print(f"[red]failed:[/] {name}: {reason}", highlight=False, soft_wrap=True)
    results = found.results
    if not results:
        raise typer.Exit(FAULT)
    table = Table(
        title=f"test: {results[0].images} images, {results[0].positives} positive", title_justify="left"
    )
    # Of a narrow terminal's lines what matters most; the report has everything.
    shown = [cell for cell in ladder_page.CELLS if console.width >= WIDE or cell in ladder_page.SHORT]
    for heading in shown:
        table.add_column(heading, no_wrap=heading in ladder_page.SHORT)
    for row in results:
        cells = dict(zip(ladder_page.CELLS, ladder_page.cells(row), strict=True))
        table.add_row(*(cells[heading] for heading in shown))
    console.print(table)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
    if found.failures:
        raise typer.Exit(FAULT)


@study.command("segmentation")
def segmentation(
    data: Annotated[
        Path, typer.Option("--data", "-d", help="A folder with images/ and masks/, labels in pairs.csv.")
    ],
    workspace: WorkspaceOption = Path("workspace-segmentation"),
    parts: Annotated[
        str, typer.Option("--parts", help=f"Of {', '.join(PARTS)}; with commas.")
    ] = "unet,experiment",
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A value of the U-Net that is released: --set depth=5 --set max_minutes=10"
        ),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=20, help="Of the experiment.")] = 5,
    fold_epochs: Annotated[
        int, typer.Option("--fold-epochs", min=1, help="Of each fold's U-Net, at the study's 64 x 80.")
    ] = 30,
    weights: Annotated[
        str, typer.Option("--weights", help="Of the classifiers: imagenet, none, or PATH[#sha256=HEX].")
    ] = "imagenet",
    vgg_epochs: Annotated[int, typer.Option("--vgg-epochs", min=1, help="Of VGG-16's fifth block.")] = 8,
    vgg_size: Annotated[int, typer.Option("--vgg-size", min=32, max=224, help="Its pictures, px.")] = 128,
    seed: SeedOption = 17,
) -> None:
    """Train a U-Net as a pipeline of its own, release it, and ask whether cutting lesions out helps a classifier.

    unet: train, judge by Jaccard and Dice, push; then `melanosizer serve --workspace WORKSPACE` answers `segment`.
    experiment: one classifier on whole images, cut by the true and by the predicted mask. vgg16: the same with
    VGG-16, its fifth block fine-tuned.

    Example:  melanosizer study segmentation --data data/isic2017
    """
    from components.trainer.model.backbones.errors import WeightsFileError
    from components.trainer.progress import Progress
    from core.workspace import Workspace
    from studies import page
    from studies.segmentation import experiment, runner
    from studies.segmentation import page as segmentation_page
    from studies.segmentation.config import STUDY, SegmentationConfig
    from studies.segmentation.results import SegmentationStudy

    wanted = [part.strip() for part in parts.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in PARTS]
    if unknown or not wanted:
        raise UsageError(f"--parts {parts}: valid are {', '.join(PARTS)}, with commas")
    config = _validated(SegmentationConfig, {"seed": str(seed)} | _pairs(overrides))
    place = Workspace(workspace)
    place.prepare()
    console, progress = Console(), Progress()
    folder, version = runner.write_pairs(data, place, seed)
    files = experiment.files_of(str(folder))
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
        kept = kept.with_unet(run.run_id)
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
                    classifier = _classifier(part, weights, vgg_size, vgg_epochs)
                    result = experiment.run(given, classifier, seed, progress)
                    kept = kept.with_result(result, float(given.jaccard.mean()))
                    kept.save(out)
        except (ValueError, WeightsFileError) as error:
            raise UsageError(str(error)) from None
    results = kept.results
    facts = [
        ("data", f"{data}, version {version[:12]}"),
        ("seed", str(seed)),
        ("command", f"melanosizer study segmentation --data {data} --workspace {workspace} --parts {parts}"
                    f" --folds {folds} --fold-epochs {fold_epochs} --seed {seed} --weights {weights}"
                    f" --vgg-epochs {vgg_epochs} --vgg-size {vgg_size}"
                    + "".join(f" --set {text}" for text in overrides or [])),
    ]  # fmt: skip
    report = page.write(
        segmentation_page.page(run, galleries, results, kept.out_of_fold_jaccard, facts), out / page.FILE_NAME
    )
    if run is not None:
        console.print(_unet_table(run))
    for result in results:
        console.print(_experiment_table(result))
        console.print(result.sentence, highlight=False, soft_wrap=True)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
    if run is not None and "unet" in wanted and any(not verdict.passed for verdict in run.verdicts):
        for verdict in run.verdicts:
            for check in verdict.refusals:
                console.print(f"[red]refused:[/] {check.sentence()}", highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED)


@study.command("retrain")
def retrain(
    data: DataOption,
    workspace: WorkspaceOption = Path("workspace"),
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Of the head.")] = 0.01,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of training.")] = 4000,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images a step.")] = 100,
    flip_left_right: Annotated[
        bool, typer.Option("--flip-left-right", help="Mirror half of the images.")
    ] = False,
    random_crop: Annotated[int, typer.Option("--random-crop", help="Margin to crop, percent.")] = 0,
    random_scale: Annotated[int, typer.Option("--random-scale", help="Most to enlarge, percent.")] = 0,
    random_brightness: Annotated[
        int, typer.Option("--random-brightness", help="Most to change, percent.")
    ] = 0,
    backbone: Annotated[str, typer.Option("--backbone", help="The frozen network.")] = "inception_v3",
    weights: Annotated[
        str, typer.Option("--weights", help="imagenet, none, or PATH#sha256=HEX.")
    ] = "imagenet",
    size: Annotated[int, typer.Option("--size", min=75, max=600, help="Side of the pictures, px.")] = 299,
    images: Annotated[
        int | None, typer.Option("--images", min=16, help="Of train; a quarter as many of eval and test.")
    ] = None,
    seed: SeedOption = 17,
) -> None:
    """Retrain the head of a frozen Inception v3 on its cached bottlenecks, test it once, list its mistakes.

    Any random change (flip, crop, scale, brightness) turns the cache of the training images off.

    Example:  melanosizer study retrain --data data/ham10000 --steps 2000
    """
    from components.trainer.data.records import DataError, read_split
    from components.trainer.model.backbones.errors import UnknownBackboneError, WeightsFileError
    from components.trainer.progress import Progress
    from core.features import SPLITS
    from core.workspace import Workspace
    from pipeline import data_set
    from studies import page
    from studies.ladder import networks as limiting
    from studies.retrain import flow
    from studies.retrain import page as retrain_page

    values = {
        "backbone": backbone, "weights": weights, "size": size, "learning_rate": learning_rate, "steps": steps,
        "batch_size": batch_size, "eval_every": max(1, steps // 20), "flip_left_right": flip_left_right,
        "random_crop": random_crop, "random_scale": random_scale, "random_brightness": random_brightness, "seed": seed,
    }  # fmt: skip
    config = _validated(flow.RetrainConfig, {key: str(value) for key, value in values.items()})
    place = Workspace(workspace)
    place.prepare()
    console, progress = Console(), Progress()
    folder = data_set.ready(data, place, console)
    try:
        splits = {
            name: limiting.limited(
                read_split(
                    name,
                    [str(folder / name / "*.tfrecord.gz")],
                    size=size,
                    cache_dir=place.cache,
                    progress=progress,
                ),
                None if images is None else images if name == "train" else max(16, images // 4),
                seed,
            )
            for name in SPLITS
        }
        found = flow.retrain(config, splits, place.cache / "retrain", progress)
    except (DataError, WeightsFileError, UnknownBackboneError) as error:
        raise UsageError(str(error)) from None
    out = place.root / "studies" / "retrain"
    out.mkdir(parents=True, exist_ok=True)
    flow.write_misclassified(found, out / "misclassified.csv")
    facts = [
        ("data", str(folder)),
        ("options", ", ".join(f"{key} {value}" for key, value in config.model_dump().items())),
    ]
    report = page.write(retrain_page.page(config, found, splits["test"], facts), out / page.FILE_NAME)
    table = Table(
        title=f"{backbone}, first weights: {found.weights}", show_header=False, title_justify="left"
    )
    table.add_row("AUC on test", str(found.test.auc))
    table.add_row("accuracy", f"{found.accuracy:.3f}")
    table.add_row("sensitivity", str(found.test.sensitivity))
    table.add_row("specificity", str(found.test.specificity))
    table.add_row(
        "misclassified", f"{len(found.misclassified)} of {found.test.images}, {out / 'misclassified.csv'}"
    )
    console.print(table)
    console.print(f"report: {report}", highlight=False, soft_wrap=True)


def _classifier(part: str, weights: str, size: int, epochs: int) -> FoldClassifier:
    from studies.segmentation.classifiers import FifthBlock, FrozenLinear

    return FifthBlock(weights, size, epochs) if part == "vgg16" else FrozenLinear(weights)


def _unet_table(run: object) -> Table:
    from studies.segmentation.measured import interval
    from studies.segmentation.runner import UnetRun

    assert isinstance(run, UnetRun)  # noqa: S101 - imported late, so that --help answers at once
    table = Table(title="U-Net on held-out pairs", show_header=False, title_justify="left")
    table.add_row("pairs", str(len(run.scores)))
    table.add_row("Jaccard", str(interval([score.jaccard for score in run.scores])))
    table.add_row("Dice", str(interval([score.dice for score in run.scores])))
    table.add_row("version", run.version or "none pushed")
    return table


def _experiment_table(result: Result) -> Table:
    table = Table(title=f"{result.classifier} (first weights: {result.weights})", title_justify="left")
    for heading in ("images", "AUC", "accuracy", "sensitivity", "specificity", "p"):
        table.add_column(heading)
    for arm in result.arms:
        table.add_row(
            arm.variant, str(arm.auc), str(arm.accuracy), str(arm.sensitivity), str(arm.specificity),
            "" if arm.p_auc is None else f"{arm.p_auc:.3f}",
        )  # fmt: skip
    return table


def _pairs(overrides: list[str] | None) -> dict[str, str]:
    from pipeline.commands.run import pairs

    return pairs(overrides)


def _validated(model: type[Config], values: dict[str, str]) -> Config:
    """Read text values as YAML into a configuration.

    Raises:
        UsageError: an unknown key, or a value out of range.
    """
    import yaml
    from pydantic import ValidationError

    from pipeline.config import put

    content: dict[str, object] = {}
    for name, text in values.items():
        put(content, name, yaml.safe_load(text))
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the settings"
        valid = (
            f"; valid keys are {', '.join(model.model_fields)}" if first["type"] == "extra_forbidden" else ""
        )
        raise UsageError(f"{key}={first['input']!r}: {first['msg']}{valid}") from None
