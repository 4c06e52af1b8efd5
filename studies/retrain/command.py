"""`melanosizer study retrain`: the retrain flow of a frozen Inception v3."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.errors import UsageError
from pipeline.commands.options import DataOption, WorkspaceOption
from pipeline.console import say, table
from studies.options import SeedOption


def retrain(
    data: DataOption,
    workspace: WorkspaceOption = Path("workspace"),
    learning_rate: Annotated[float, typer.Option(help="The learning rate of the head.")] = 0.01,
    steps: Annotated[int, typer.Option(min=1, help="The number of training steps.")] = 4000,
    batch_size: Annotated[int, typer.Option(min=1, help="The number of images in each step.")] = 100,
    flip_left_right: Annotated[
        bool, typer.Option("--flip-left-right", help="Mirrors half of the images, drawn at random.")
    ] = False,
    random_crop: Annotated[int, typer.Option(help="The largest margin that is cropped, in percent.")] = 0,
    random_scale: Annotated[int, typer.Option(help="The largest enlargement, in percent.")] = 0,
    random_brightness: Annotated[int, typer.Option(help="The largest change of brightness, in percent.")] = 0,
    backbone: Annotated[str, typer.Option(help="The name of the frozen network.")] = "inception_v3",
    weights: Annotated[
        str, typer.Option(help="The first weights: imagenet, none, or PATH#sha256=HEX.")
    ] = "imagenet",
    size: Annotated[int, typer.Option(min=75, max=600, help="The side of the pictures in pixels.")] = 299,
    images: Annotated[
        int | None,
        typer.Option(
            min=16,
            help="The number of training images, and a quarter as many of eval and test. Without it, all.",
        ),
    ] = None,
    seed: SeedOption = 17,
) -> None:
    """Retrain the head of a frozen Inception v3 on its cached bottlenecks, test it once, list its mistakes.

    Any random change (flip, crop, scale, brightness) turns the cache of the training images off.

    Example:  melanosizer study retrain --data data/ham10000 --steps 2000
    """
    from components.trainer.data.records import DataError
    from components.trainer.model.backbones.backbone import UnknownBackboneError, WeightsFileError
    from components.trainer.progress import Progress
    from core.workspace import Workspace
    from pipeline import data_set
    from pipeline.config import validated
    from studies import page
    from studies.ladder import networks
    from studies.retrain import flow
    from studies.retrain import page as retrain_page

    values = {
        "backbone": backbone,
        "weights": weights,
        "size": size,
        "learning_rate": learning_rate,
        "steps": steps,
        "batch_size": batch_size,
        "eval_every": max(1, steps // 20),
        "flip_left_right": flip_left_right,
        "random_crop": random_crop,
        "random_scale": random_scale,
        "random_brightness": random_brightness,
        "seed": seed,
    }
    config = validated(flow.RetrainConfig, values, "study retrain")
    place = Workspace(workspace)
    place.prepare()
    console, progress = Console(), Progress()
    folder = data_set.ready(data, place, console)
    try:
        quarter = None if images is None else max(16, images // 4)
        splits = networks.read_splits(folder, size, place.cache, images, quarter, seed, progress)
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
    wrong = f"{len(found.misclassified)} of {found.test.images}, {out / 'misclassified.csv'}"
    rows = [
        ("AUC on test", str(found.test.auc)),
        ("accuracy", f"{found.accuracy:.3f}"),
        ("sensitivity", str(found.test.sensitivity)),
        ("specificity", str(found.test.specificity)),
        ("misclassified", wrong),
    ]
    console.print(table(f"{backbone}, first weights: {found.weights}", ("", ""), rows))
    say(console, f"report: {report}")
