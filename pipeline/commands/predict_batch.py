"""`melanosizer predict-batch`: a whole folder of images, without a server."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from core.errors import UsageError
from pipeline.commands.options import WorkspaceOption

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
BATCH = 32


def predict_batch(
    images: Annotated[Path, typer.Option("--images", help="Folder of JPEG or PNG files.")],
    out: Annotated[Path, typer.Option("--out", help="CSV to write, as the SIIM-ISIC competition asks.")],
    version: Annotated[
        str | None, typer.Option("--version", help="A released version; default: the one that is served.")
    ] = None,
    workspace: WorkspaceOption = Path("workspace"),
) -> None:
    """Write image_name,target for every image of a folder; target is the probability.

    A file that cannot be decoded is named and left out, and the command then ends with 2.

    Example:  melanosizer predict-batch --images test/ --out submission.csv
    """
    from pipeline.commands.evaluate import _served
    from pipeline.inference import probabilities

    if not images.is_dir():
        raise UsageError(f"--images {images}: is no folder")
    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder; name a file, e.g. {out / 'submission.csv'}")
    if not out.resolve().parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}")
    files = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise UsageError(f"--images {images}: holds no {', '.join(sorted(IMAGE_SUFFIXES))} file")
    model = _served(workspace, version)
    console = Console()
    broken: list[Path] = []
    partial = out.with_name(f".{out.name}.partial")
    with partial.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image_name", "target"])
        answers = probabilities(model, files, BATCH)
        for path, probability in track(answers, "predicting", total=len(files), console=console):
            if probability is None:
                broken.append(path)
            else:
                writer.writerow([path.stem, f"{probability:.6f}"])
    partial.replace(out)
    console.print(f"{len(files) - len(broken)} predictions written to {out}", highlight=False)
    for path in broken:
        console.print(f"[red]not an image:[/] {path}", highlight=False)
    raise typer.Exit(2 if broken else 0)
