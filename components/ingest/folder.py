"""The output folder: it appears whole or not at all, and never in place of a user's own files."""

from __future__ import annotations

import datetime
import fcntl
import glob
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from components.ingest import dealt, manifest, row
from components.ingest.errors import IngestError
from components.ingest.manifest import Manifest
from core.features import SPLITS
from core.files import exclusive_lock, share

_FILES: Final = frozenset({manifest.NAME, row.QUARANTINE, dealt.NAME})
_SHARD: Final = ".tfrecord.gz"
_LOCK: Final = "lock"


@contextmanager
def staged(out: Path, *, force: bool, sources: Sequence[Path]) -> Iterator[Path]:
    """Yield a folder beside ``out`` that becomes ``out`` when the block ends without an exception.

    What a killed job left beside ``out`` is removed first, and what it had moved away is put back. With ``force`` what
    ingest did not write is moved away, and kept beside ``out``.

    Raises:
        IngestError: one of the ``sources``, which are read, lies in ``out``, or ``out`` holds something that ingest did
            not write and ``force`` is not set.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise IngestError(f"{out} is a file or a link: choose a folder for the output")
    for source in sources:
        if source.resolve().is_relative_to(out.resolve()):
            raise IngestError(
                f"--out {out} is, or holds, the source {source}: it would be replaced; choose another folder"
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    _clear_up(out)
    foreign = _foreign(out)
    if foreign and not force:
        raise IngestError(
            f"{out} {foreign}: choose another folder, or --force, which moves what is there to a folder beside it"
        )
    above = [source for source in sources if out.resolve().is_relative_to(source.resolve())]
    if foreign and above:
        raise IngestError(f"--out {out} {foreign}, and lies in the source {above[0]}: choose another folder")
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.ingest-", dir=out.parent))
    with exclusive_lock(staging / _LOCK):
        try:
            yield staging
            (staging / _LOCK).unlink()
            staging.chmod(0o755)
            _replace(out, staging, keep=bool(foreign))
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _foreign(out: Path) -> str:
    """Why ``out`` may not be replaced, empty where everything in it is ingest's own."""
    if not out.exists() or not any(out.iterdir()):
        return ""
    try:
        made = Manifest.load(out)
    except IngestError:
        return "was not written by ingest"
    own = {*_FILES, *(shard.file for split in made.splits.values() for shard in split.shards)}
    for path in sorted(out.iterdir()):
        is_split = path.name in SPLITS and path.is_dir() and not path.is_symlink()
        for one in sorted(path.iterdir()) if is_split else [path]:
            if str(one.relative_to(out)) not in own:
                return f"holds {one.relative_to(out)}, which ingest did not write"
    return ""


def _clear_up(out: Path) -> None:
    for old in out.parent.glob(f".{glob.escape(out.name)}.old-*"):
        if not out.exists() and (old / "data").is_dir():
            (old / "data").rename(out)
        if not _is_running(old):
            shutil.rmtree(old, ignore_errors=True)
    for staging in out.parent.glob(f".{glob.escape(out.name)}.ingest-*"):
        if not _is_running(staging):
            shutil.rmtree(staging, ignore_errors=True)


def _is_running(folder: Path) -> bool:
    """Whether the job that made ``folder`` lives: it holds a lock in it, which ends with it."""
    try:
        with (folder / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _replace(out: Path, staging: Path, *, keep: bool) -> None:
    if not out.exists():
        staging.rename(out)
        return
    if keep:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
        out.rename(out.with_name(f"{out.name}.replaced-{now}"))
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


def take_over(folder: Path, staging: Path, prefixes: tuple[str, ...] = ("",)) -> None:
    """Bring shards whose names begin with a prefix into ``staging``: linked where the file system can, else copied."""
    for split in SPLITS:
        for path in sorted((folder / split).glob(f"*{_SHARD}")):
            if not path.name.startswith(prefixes):
                continue
            target = staging / split / path.name
            target.parent.mkdir(exist_ok=True)
            if not share(path, target):
                shutil.copy2(path, target)
