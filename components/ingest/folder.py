"""The output folder: it appears whole or not at all, and never in place of a user's own files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.ingest.errors import IngestError
from components.ingest.manifest import Manifest


@contextmanager
def staged(out: Path, *, force: bool) -> Iterator[Path]:
    """Yield a folder beside ``out`` that becomes ``out`` when the block ends without an exception.

    Raises:
        IngestError: ``out`` holds something that ingest did not write and ``force`` is not set.
    """
    _check_replaceable(out, force=force)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.ingest-", dir=out.parent))
    try:
        yield staging
        staging.chmod(0o755)
        _replace(out, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_replaceable(out: Path, *, force: bool) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise IngestError(f"{out} is a file or a link: choose a folder for the output")
    if force or not out.exists() or not any(out.iterdir()):
        return
    try:
        Manifest.load(out)
    except IngestError:
        raise IngestError(
            f"{out} exists and was not written by ingest: choose another folder, or --force to replace it"
        ) from None


def _replace(out: Path, staging: Path) -> None:
    if not out.exists():
        staging.rename(out)
        return
    # The old one is moved away first: a folder cannot be renamed over one that is not empty.
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
    out.rename(old / "data")
    try:
        staging.rename(out)
    except OSError:
        (old / "data").rename(out)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
