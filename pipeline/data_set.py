"""Turns what a user calls data into an ingested data set."""

from __future__ import annotations

import hashlib
from pathlib import Path

from components.ingest.config import IngestConfig
from components.ingest.job import ingest
from components.ingest.manifest import Manifest
from rich.console import Console

from components.ingest import source
from components.synth.cohort import synthesise
from components.synth.config import SynthConfig
from pipeline.errors import UsageError
from pipeline.workspace import Workspace


def ready(data: Path, workspace: Workspace, console: Console) -> Path:
    """Return the folder of an ingested data set made from ``data``.

    ``data`` is one already, or its manifest, or images that are ingested into the workspace first.

    Raises:
        UsageError: there is nothing there that could be ingested.
    """
    if not data.exists():
        raise UsageError(f"--data {data}: does not exist")
    folder = data.parent if data.name == "manifest.json" else data
    if (folder / "manifest.json").is_file():
        return folder
    try:
        found = source.detect(data)
    except ValueError as error:
        raise UsageError(f"--data {data}: {error}") from None
    out = workspace.root / "data" / hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
    console.print(f"ingesting {data} as {found.kind}", highlight=False)
    manifest = ingest(IngestConfig(sources=(found,)), out)
    tell(manifest, console)
    return out


def synthetic(workspace: Workspace, images: int, console: Console) -> Path:
    """Return an ingested data set of ``images`` procedural lesions, made once a workspace."""
    raw = workspace.root / "data" / f"synthetic-{images}-images"
    out = workspace.root / "data" / f"synthetic-{images}"
    if not (out / "manifest.json").is_file():
        console.print(f"making {images} synthetic lesions", highlight=False)
        synthesise(SynthConfig(images=images), raw)
        tell(ingest(IngestConfig(sources=(source.detect(raw),)), out), console)
    return out


def tell(manifest: Manifest, console: Console) -> None:
    """Say what was written and what was not."""
    counts = manifest.counts
    console.print(
        f"{counts.rows_read} rows read: {counts.written} written, {counts.quarantined} quarantined",
        highlight=False,
    )
