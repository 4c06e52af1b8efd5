"""`melanosizer ingest`: data sets in, TFRecords out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.errors import RunFaultError, UsageError
from pipeline.console import say, table

if TYPE_CHECKING:
    from components.ingest.config import IngestConfig
    from components.ingest.manifest import Manifest

LABELS_SHOWN = 30


def ingest(
    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            "-s",
            metavar="KIND:PATH[,images=DIR][,name=NAME]",
            help=(
                "A data set that is read. May be repeated; they are merged. KIND is siim2020, isic2016 to isic2019, "
                "isic2024, ham10000, pad-ufes, derm7pt, isic-archive, folder or csv."
            ),
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="The folder that the TFRecords are written to; it appears whole or not at all.",
        ),
    ],
    add: Annotated[
        bool,
        typer.Option("--add", help="Keeps what is in OUT and adds the sources to it as its next span."),
    ] = False,
    fractions: Annotated[
        str | None,
        typer.Option(help="The shares of the images that go to train/eval/test. Without it, 0.70/0.15/0.15."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="The seed that decides which new groups go into which split. Without it, 2020."
        ),
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(
            "--positive",
            help=(
                "A diagnosis that counts as positive. May be repeated; malignant means every one that is stated to be "
                "malignant. Without it, melanoma."
            ),
        ),
    ] = None,
    max_side: Annotated[
        int | None,
        typer.Option(help="Resizes longer sides to this many pixels. Without it, bytes pass unchanged."),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            help="Refuses images of more pixels than this from their header. Without it, 50 million."
        ),
    ] = None,
    near: Annotated[
        int | None,
        typer.Option(help="The bits of 256 in which the hashes of near-copies may differ. Without it, 40."),
    ] = None,
    same_lesion: Annotated[
        Path | None,
        typer.Option(help="A table of pairs of image names that show one lesion; they share a split."),
    ] = None,
    decoders: Annotated[
        int | None, typer.Option(help="The number of decoder processes. Without it, one for each core.")
    ] = None,
    beam: Annotated[
        list[str] | None,
        typer.Option(help="An Apache Beam option in place of the local runner's. May be repeated."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Takes OUT even if it holds other files; they are moved beside it."),
    ] = False,
) -> None:
    """Check, group, split and write images as TFRecords; every row is written or quarantined with its reason.

    No patient, lesion or near-copy lies on two sides of a split, and what lies in a split of OUT stays there. OUT gets
    train/, eval/, test/, manifest.json, splits.csv and quarantine.csv.

    Example:  melanosizer ingest --source siim2020:isic2020/train.csv,images=isic2020/jpeg
    --source isic2019:isic2019 --out data/isic
    """
    from components.ingest import job
    from components.ingest.errors import IngestError
    from components.ingest.shard import ChangedError
    from pipeline.progress import counted

    values: dict[str, object] = {
        "fractions": _fractions(fractions) if fractions else None,
        "seed": seed,
        "positive_diagnoses": tuple(positive) if positive else None,
        "max_side": max_side,
        "max_pixels": max_pixels,
        "near_duplicate_distance": near,
        "same_lesion": same_lesion,
        "decoders": decoders,
        "beam_options": tuple(beam) if beam else None,
    }
    config = _config(
        source,
        {
            **(_of_data_set(out) if add else {}),
            **{key: value for key, value in values.items() if value is not None},
        },
    )
    console = Console()
    try:
        with counted(console) as listener:
            manifest = job.ingest(config, out, add=add, force=force, listener=listener)
    except IngestError as error:
        raise UsageError(str(error)) from None
    except ChangedError as error:
        raise RunFaultError(str(error)) from None
    except OSError as error:
        raise RunFaultError(
            f"{error.filename or out}: {error.strerror or error}; {out} is as it was: run the command again"
        ) from None
    except KeyboardInterrupt:
        say(console, f"stopped; {out} is as it was: run the command again")
        raise typer.Exit(130) from None
    console.print(_splits(manifest, out))
    if manifest.counts.quarantined:
        console.print(_quarantine(manifest, out))
    console.print(_labels(manifest))
    say(console, _account(manifest))


def _fractions(text: str) -> dict[str, float]:
    parts = text.split("/")
    try:
        train, evaluation, test = (float(part) for part in parts)
    except ValueError:
        raise UsageError(f"--fractions {text}: write train/eval/test, as in 0.70/0.15/0.15") from None
    return {"train": train, "eval": evaluation, "test": test}


def _config(sources: list[str], values: dict[str, object]) -> IngestConfig:
    from pydantic import ValidationError

    from components.ingest.config import IngestConfig, Source
    from components.ingest.errors import IngestError
    from core.settings import explain

    try:
        return IngestConfig.model_validate({"sources": [Source.parse(text) for text in sources], **values})
    except IngestError as error:
        raise UsageError(f"--source: {error}") from None
    except ValidationError as error:
        raise UsageError("; ".join(explain(error, IngestConfig))) from None


def _of_data_set(out: Path) -> dict[str, object]:
    """What a further span shares with the data set it is added to, where nothing else is asked for."""
    from components.ingest.errors import IngestError
    from components.ingest.manifest import Manifest

    try:
        config = Manifest.load(out).config
    except IngestError as error:
        raise UsageError(f"--add --out {out}: {error}") from None
    shared = ("fractions", "seed", "positive_diagnoses", "near_duplicate_distance", "max_side")
    return {name: getattr(config, name) for name in shared}


def _splits(manifest: Manifest, out: Path) -> Table:
    numbers = ("images", "positive", "share", "groups", "files")
    rows = []
    for name, split in manifest.splits.items():
        share = f"{split.positives / split.images:.2%}" if split.images else "-"
        row = (name, split.images, split.positives, share, split.groups, len(split.shards))
        rows.append([str(value) for value in row])
    return table(f"{out}, data version {manifest.data_version[:12]}", ("split", *numbers), rows, numbers)


def _labels(manifest: Manifest) -> Table:
    rows = []
    for one in manifest.labels[:LABELS_SHOWN]:
        label = {"0": "0", "1": "1 (positive)"}.get(one.became, f"[yellow]{one.became}[/]")
        rows.append((escape(one.name) or "(nothing)", label, str(one.rows)))
    hidden = len(manifest.labels) - LABELS_SHOWN
    if hidden > 0:
        rows.append((f"and {hidden} more, see manifest.json", "", ""))
    return table("labels", ("name in the data", "label", "rows"), rows, right=("rows",))


def _quarantine(manifest: Manifest, out: Path) -> Table:
    from components.ingest.row import REASONS

    counts = sorted(manifest.counts.by_reason.items(), key=lambda item: -item[1])
    rows = [(reason, str(count), REASONS[reason]) for reason, count in counts]
    return table(
        f"quarantined, see {out}/quarantine.csv", ("reason", "rows", "meaning"), rows, right=("rows",)
    )


def _account(manifest: Manifest) -> str:
    counts = manifest.counts
    lines = [f"{counts.rows_read} rows read = {counts.written} written + {counts.quarantined} quarantined"]
    if counts.converted:
        why = ", ".join(f"{count} for {reason}" for reason, count in counts.converted.items())
        lines.append(f"re-encoded: {why}")
    if len(manifest.spans) > 1:
        parts = ", ".join(f"span {span.number}: {sum(span.images.values())}" for span in manifest.spans)
        lines.append(f"images of {parts}")
    if counts.near_duplicates:
        lines.append(f"{counts.near_duplicates} images have a near-copy; it lies in the same split")
    if counts.unlisted_files:
        lines.append(f"{counts.unlisted_files} image files are named by no row and were not read")
    if manifest.class_weights:
        negative, positive = manifest.class_weights
        lines.append(f"class weights of the training split: {negative:.2f} negative, {positive:.2f} positive")
    empty = [name for name, split in manifest.splits.items() if not split.positives or not split.negatives]
    if empty:
        lines.append(
            f"[yellow]{', '.join(empty)}: only one label; there are too few groups of the other to divide[/]"
        )
    return "\n".join(lines)
