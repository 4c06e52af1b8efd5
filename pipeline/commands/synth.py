"""`melanosizer synth`: synthetic lesions, for trying things out without a data set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from core.errors import RunFaultError, UsageError
from pipeline.console import say, table


def synth(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The folder that images/, masks/ and metadata.csv are written to."),
    ],
    images: Annotated[
        int, typer.Option("--images", "-n", help="The number of images, each of a lesion of its own.")
    ] = 2000,
    size: Annotated[int, typer.Option(help="The height and width of each image in pixels.")] = 192,
    seed: Annotated[
        int, typer.Option(help="The seed of what is drawn at random; the same seed gives the same bytes.")
    ] = 2020,
    melanoma_share: Annotated[
        float, typer.Option(help="The share of melanomas among the images, 0 to 1.")
    ] = 0.09,
    masks: Annotated[
        bool, typer.Option(help="Writes the mask of each lesion, too, or leaves the masks out.")
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Replaces OUT even if synth did not write it.")
    ] = False,
) -> None:
    """Draw dermoscopy-like lesions whose asymmetry, border, colours and diameter are known.

    They stand in for real images in a demonstration or a test: a model trained on them knows nothing about skin.

    Example:  melanosizer synth --images 2000 --out data/synthetic
    """
    from pydantic import ValidationError

    from pipeline.progress import counted
    from pipeline.synthetic.cohort import SynthConfig, synthesise

    try:
        config = SynthConfig(images=images, size=size, seed=seed, melanoma_share=melanoma_share, masks=masks)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{option} {first['input']}: {first['msg']}") from None
    console = Console()
    start = time.monotonic()
    try:
        with counted(console) as listener:
            written = synthesise(config, out, force=force, listener=listener)
    except OSError as error:
        raise RunFaultError(f"{error.filename or out}: {error.strerror or error}") from None
    console.print(_summary(written, time.monotonic() - start))
    say(console, f"next: melanosizer run --data {out}")


def _summary(written: Path, seconds: float) -> Table:
    import csv
    from collections import Counter

    with written.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    diagnoses = Counter(row["diagnosis"] for row in rows)
    positives = sum(row["target"] == "1" for row in rows)
    facts = {
        "images": f"{len(rows)} in {seconds:.0f} s, {len(rows) / seconds:.0f} a second",
        "patients": str(len({row["patient_id"] for row in rows})),
        "diagnoses": ", ".join(f"{count} {name}" for name, count in diagnoses.most_common()),
        "melanoma": f"{positives} ({positives / len(rows):.1%})",
    }
    return table(str(written), ("", ""), facts.items())
