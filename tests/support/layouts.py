"""What ingest finds in a folder or table of one layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.ingest.config import IngestConfig
from components.ingest.layouts.read import read
from components.ingest.row import Found
from components.ingest.source import Source


def read_as(kind: str, path: Path, **values: Any) -> Found:
    """Read `path` as a source of this kind; `values` are settings of ingest."""
    source = Source.model_validate({"kind": kind, "path": path})
    return read(source, IngestConfig.model_validate({"sources": (source,), **values}))
