"""Turns what a user calls data into an ingested data set."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rich.console import Console

from components.ingest import source
from components.ingest.config import IngestConfig
from components.ingest.errors import IngestError
from components.ingest.job import ingest
from components.ingest.manifest import NAME, Manifest
from components.ingest.source import Source
from core.errors import UsageError
from core.workspace import Workspace
from pipeline.progress import counted
from pipeline.synthetic.cohort import OccupiedError, synthesise
from pipeline.synthetic.config import SynthConfig


def ready(data: Path, workspace: Workspace, console: Console) -> Path:
    """Return the folder of an ingested data set made from ``data``.

    ``data`` is one already, or its manifest, or images that are ingested into the workspace first.

    Raises:
        UsageError: there is nothing there that could be ingested.
    """
    if not data.exists():
        raise UsageError(f"--data {data}: does not exist")
    folder = data.parent if data.name == NAME else data
    try:
        if (folder / NAME).is_file():
            Manifest.load(folder).verify(folder)
            return folder
        found = source.detect(data)
        out = workspace.root / "data" / hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
        _ingest(found, out, console)
    except IngestError as error:
        raise UsageError(f"--data {data}: {error}") from None
    return out


def synthetic(workspace: Workspace, images: int, console: Console) -> Path:
    """Return an ingested data set of ``images`` procedural lesions, made once a workspace.

    Raises:
        UsageError: the workspace holds something else in its place.
    """
    raw = workspace.root / "data" / f"synthetic-{images}-images"
    out = workspace.root / "data" / f"synthetic-{images}"
    if not (out / NAME).is_file():
        console.print(f"making {images} synthetic lesions", highlight=False)
        try:
            with counted(console) as listener:
                synthesise(
                    SynthConfig(images=images),
                    raw,
                    progress=lambda done, total: listener("draw", done, total),
                )
            _ingest(source.detect(raw), out, console)
        except (IngestError, OccupiedError) as error:
            raise UsageError(f"--workspace {workspace.root}: {error}") from None
    return out


def _ingest(found: Source, out: Path, console: Console) -> None:
    console.print(f"ingesting {found}", highlight=False)
    with counted(console) as listener:
        manifest = ingest(IngestConfig(sources=(found,)), out, listener=listener)
    counts = manifest.counts
    console.print(
        f"{counts.rows_read} rows read: {counts.written} written, {counts.quarantined} quarantined",
        highlight=False,
    )
