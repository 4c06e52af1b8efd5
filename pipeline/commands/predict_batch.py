"""`melanosizer predict-batch`: a whole folder of images, without a server."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from core import spreadsheet
from core.errors import RunFaultError, UsageError
from core.features import PROBABILITY
from pipeline.commands.options import VersionOption, WorkspaceOption, released_model
from pipeline.console import say

if TYPE_CHECKING:
    from components.evaluator.model import Model

BATCH = 32
SHOWN = 50  # of the files that got no answer
MAX_BYTES = 256 << 20  # a larger file is refused unread


def predict_batch(
    images: Annotated[
        Path, typer.Option(help="A folder of images, searched with its sub-folders, or an HDF5 file of them.")
    ],
    out: Annotated[
        Path, typer.Option(help="The CSV file that is written, as the SIIM-ISIC competition asks.")
    ],
    version: VersionOption = None,
    workspace: WorkspaceOption = Path("workspace"),
) -> None:
    """Write image_name,target for every image of a folder; target is the probability.

    Every format that ingest reads is read, and brought to what the model was trained on. Every file is answered or
    listed with its reason; the command ends with 2 if an image could not be answered. Images whose names differ only in
    their folders or endings keep these in image_name; one that a spreadsheet would compute has an apostrophe before it.

    Example:  melanosizer predict-batch --images test/ --out submission.csv
    """
    from components.ingest import hdf5, picture
    from components.ingest.config import EXTENSIONS
    from components.ingest.errors import IngestError
    from components.ingest.layouts.images import walk
    from core.images.decode import ImageRefusedError

    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder; name a file, e.g. {out / 'submission.csv'}")
    if not out.resolve().parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}")
    refused: dict[str, str] = {}
    try:
        if images.suffix.lower() in hdf5.SUFFIXES and images.is_file():
            files = {name: hdf5.address(images, name) for name in sorted(hdf5.names(images))}
        elif images.is_dir():
            every = sorted(Path(folder) / name for folder, names in walk(images) for name in names)
            chosen = [path for path in every if path.suffix.lower() in EXTENSIONS]
            refused = {
                str(path.relative_to(images)): f"the ending {path.suffix!r} is not an image's"
                for path in every
                if path.suffix.lower() not in EXTENSIONS
            }
            files = dict(zip(_names(chosen, images), map(str, chosen), strict=True))
        else:
            raise UsageError(f"--images {images}: is not a folder or an HDF5 file")
    except IngestError as error:
        raise UsageError(f"--images {images}: {error}") from None
    if not files:
        raise UsageError(f"--images {images}: holds no {', '.join(EXTENSIONS)} file")

    from components.evaluator.model import Model

    model = Model(released_model(workspace, version))
    console = Console()
    broken: dict[str, str] = {}

    def encoded() -> Iterator[tuple[str, bytes]]:
        for name, path in files.items():
            try:
                yield name, picture.as_jpeg(picture.read(path, MAX_BYTES))
            except ImageRefusedError as error:
                broken[name] = error.detail

    partial = out.with_name(f".{out.name}.partial")
    answered = 0
    try:
        with partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
            writer = csv.writer(stream)
            writer.writerow(["image_name", "target"])
            answers = _probabilities(model, encoded())
            for name, probability in track(answers, "predicting", total=len(files), console=console):
                if probability is None:
                    broken[name] = "the model cannot decode it"
                else:
                    writer.writerow([spreadsheet.cell(name), f"{probability:.6f}"])
                    answered += 1
        partial.replace(out)
    except OSError as error:
        raise RunFaultError(f"--out {error.filename or out}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
    say(console, f"{answered} of {len(files)} images answered, written to {out}")
    _list("not answered", broken, "red", console)
    _list("not an image", refused, "yellow", console)
    raise typer.Exit(2 if broken else 0)


def _names(files: list[Path], root: Path) -> list[str]:
    """The name of each file: its stem, with folders below ``root``; with the ending where several share that."""
    stems = [str(path.relative_to(root).with_suffix("")) for path in files]
    counts = Counter(stems)
    return [
        stem if counts[stem] == 1 else str(path.relative_to(root))
        for stem, path in zip(stems, files, strict=True)
    ]


def _probabilities(model: Model, images: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, float | None]]:
    """Yield each name with its probability, None where the graph cannot decode the image."""
    rest = iter(images)
    while group := list(islice(rest, BATCH)):
        names, encoded = zip(*group, strict=True)
        yield from zip(names, _asked(model, encoded), strict=True)


def _asked(model: Model, encoded: Sequence[bytes]) -> list[float | None]:
    import tensorflow as tf

    try:
        return [float(value) for value in model.answer(encoded)[PROBABILITY]]
    except tf.errors.InvalidArgumentError:
        if len(encoded) == 1:
            return [None]
        # One broken image fails its whole batch: ask again one by one.
        return [value for image in encoded for value in _asked(model, [image])]


def _list(what: str, files: dict[str, str], colour: str, console: Console) -> None:
    for name, reason in list(files.items())[:SHOWN]:
        say(console, f"[{colour}]{what}:[/] {escape(name)}: {escape(reason)}")
    if len(files) > SHOWN:
        say(console, f"[{colour}]{what}:[/] and {len(files) - SHOWN} more")
