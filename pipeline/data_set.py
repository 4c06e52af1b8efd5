"""Turns what a user calls data into an ingested data set."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from components.ingest import picture, source, spans
from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.job import ingest
from components.ingest.manifest import NAME, Manifest
from components.ingest.source import Source
from core import features, tfrecord
from core.errors import RunFaultError, UsageError
from core.images.decode import ImageRefusedError
from core.workspace import Workspace
from pipeline.console import say
from pipeline.progress import counted
from pipeline.synthetic.cohort import OccupiedError, SynthConfig, synthesise

# Names of labels on one line; the manifest has all.
LABELS_SHOWN = 8


def ready(data: Path, workspace: Workspace, console: Console, wanted: str | None = None) -> Path:
    """Return the folder of an ingested data set made from ``data``; the caller holds the workspace's lock.

    ``data`` is one already, or its manifest, or images that are ingested into the workspace first: into a folder of
    their own for each version, so that the same images give the same folder, and no run loses the data of another.
    ``wanted`` are the numbers of the spans that are taken, as in `2-4`; None takes all.

    Raises:
        UsageError: there is nothing there that could be ingested, or a span that is not there.
    """
    if not data.exists():
        raise UsageError(f"--data {data}: does not exist")
    check_names(data, workspace)
    folder = data.parent if data.name == NAME else data
    try:
        if (folder / NAME).is_file():
            Manifest.load(folder).verify(folder)
            return _some_spans(folder, wanted, workspace) if wanted else folder
        if wanted:
            raise IngestError("spans are parts of an ingested data set (melanosizer ingest --add)")
        found = source.detect(data)
        home = workspace.root / "data" / hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:12]
        return _versioned(found, home, console)
    except IngestError as error:
        raise UsageError(f"--data {data}: {error}") from None
    except OSError as error:
        raise RunFaultError(f"{error.filename or workspace.root}: {error.strerror or error}") from None


def check_names(data: Path, workspace: Workspace) -> None:
    """Refuse folders whose names are patterns to TFX: `a?b` would reach into its neighbour `a*b`.

    Raises:
        UsageError: one has such a name.
    """
    for option, path in (("--data", data), ("--workspace", workspace.root)):
        if set(str(path.resolve())) & set("[]*?"):
            raise UsageError(
                f"{option} {path}: TensorFlow takes [ ] * ? in a folder's name for a pattern; rename the folder"
            )


def _some_spans(folder: Path, wanted: str, workspace: Workspace) -> Path:
    name = hashlib.sha256(os.fsencode(folder.resolve()) + wanted.encode()).hexdigest()[:12]
    out = workspace.root / "data" / f"spans-{name}"
    spans.select(folder, spans.parse(wanted), out)
    return out


def _versioned(found: Source, home: Path, console: Console) -> Path:
    """Ingest into ``home``, where each version has a folder; what was dealt in the newest keeps its split."""
    incoming = home / "incoming"
    # Left by a run that was killed; nobody else has the lock.
    shutil.rmtree(incoming, ignore_errors=True)
    manifest = _ingest(found, incoming, console, remember=_newest(home))
    folder = home / manifest.data_version[:12]
    if folder.is_dir():
        shutil.rmtree(incoming)
        say(console, f"the same images as before: data version {manifest.data_version[:12]}")
    else:
        incoming.rename(folder)
    return folder


def _newest(home: Path) -> Path | None:
    made = [(Manifest.load(path).created, path) for path in home.glob("*") if (path / NAME).is_file()]
    return max(made)[1] if made else None


def undecodable(folder: Path) -> list[str]:
    """Return the names of the images in an ingested data set that cannot be decoded, as split/image_name."""
    names = []
    for split in features.SPLITS:
        for path in sorted((folder / split).glob("*.tfrecord.gz")):
            try:
                for values in tfrecord.examples(path):
                    try:
                        picture.as_jpeg(tfrecord.first(values, features.IMAGE) or b"")
                    except ImageRefusedError:
                        names.append(f"{split}/{tfrecord.text(values, features.IMAGE_NAME)}")
            except tfrecord.DamagedRecordsError as error:
                names.append(str(error))
    return names


def synthetic(workspace: Workspace, images: int, console: Console) -> Path:
    """Return an ingested data set of ``images`` procedural lesions, made once a workspace.

    Raises:
        UsageError: the workspace holds something else in its place.
    """
    raw = workspace.root / "data" / f"synthetic-{images}-images"
    out = workspace.root / "data" / f"synthetic-{images}"
    if not (out / NAME).is_file():
        say(console, f"making {images} synthetic lesions")
        try:
            with counted(console) as listener:
                synthesise(SynthConfig(images=images), raw, listener=listener)
            _ingest(source.detect(raw), out, console)
        except (IngestError, OccupiedError) as error:
            raise UsageError(f"--workspace {workspace.root}: {error}") from None
    return out


def _ingest(found: Source, out: Path, console: Console, remember: Path | None = None) -> Manifest:
    say(console, f"ingesting {found}")
    with counted(console) as listener:
        manifest = ingest(IngestConfig(sources=(found,)), out, remember=remember, listener=listener)
    counts = manifest.counts
    say(console, f"{counts.rows_read} rows read: {counts.written} written, {counts.quarantined} quarantined")
    say(console, f"labels (1 is melanoma): {escape(_labels(manifest))}")
    return manifest


def _labels(manifest: Manifest) -> str:
    """Return what became of each name, as in `melanoma/ is 1 (60 rows), nevus/ is 0 (240 rows)`."""
    named = [
        f"{one.name or '(nothing)'} is {one.became} ({one.rows} rows)"
        for one in manifest.labels[:LABELS_SHOWN]
    ]
    hidden = len(manifest.labels) - LABELS_SHOWN
    return ", ".join([*named, *([f"and {hidden} names more in {NAME}"] if hidden > 0 else [])])
