"""Files that a reader sees whole: atomic replacement, appended lines, an exclusive lock."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

T = TypeVar("T")
_FICLONE: Final = 0x40049409  # linux/fs.h


@contextmanager
def replacing(path: Path, *, mode: int = 0o666, cache: bool = False) -> Iterator[BinaryIO]:
    """Open a file for its whole new content; the name points to it once the block has ended without an error.

    The content is on the disk before the name points to it: a power cut leaves the old or the new one whole. Missing
    parent folders are made. A `cache` is written by one process alone, which can make it again: nothing waits for the
    disk, and what a killed process leaves is written over.

    Raises:
        OSError: the folder cannot be written, or the disk is full; the old file is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}{'' if cache else f'.{os.getpid()}'}.partial")
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            yield stream
            if not cache:
                stream.flush()
                os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if not cache:
        sync_folder(path.parent)


def write_atomic(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Replace a file at once, text as UTF-8: a reader sees the old or the new one, see `replacing`."""
    with replacing(path, mode=mode) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def cached_arrays(path: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the arrays of an .npz file by name; if it is missing, make them and keep them in it."""
    import numpy as np

    if not path.exists():
        with replacing(path, cache=True) as stream:
            np.savez(stream, **make())
    with np.load(path, allow_pickle=False) as kept:
        return dict(kept)


def append_line(path: Path, line: str) -> None:
    """Append one line and wait until it is on the disk.

    A line that an earlier process left half written is closed first, so that it costs itself and not this one.
    A missing file is made, its folders too.

    Raises:
        ValueError: the line holds a line break.
        OSError: the file cannot be written.
    """
    if "\n" in line:
        raise ValueError("a line to append holds a line break")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as stream:
        torn = ""
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            torn = "" if stream.read(1) == b"\n" else "\n"
        stream.write(f"{torn}{line}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())


def share(source: Path, target: Path) -> bool:
    """Give a file a second name, or a second file on the same blocks, without taking its space again.

    For files that nobody edits in place: with a hard link such an edit would reach both names. Returns whether it was
    possible: it is not on two file systems, on some kinds, and for some owners.

    Raises:
        FileExistsError: there is a file of the new name.
    """
    try:
        # A copy on write, where there is one (btrfs, XFS), keeps the two apart for good.
        with source.open("rb") as old, target.open("xb") as new:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        shutil.copystat(source, target)
    except FileExistsError:
        raise
    except OSError:
        target.unlink(missing_ok=True)
        try:
            # Of a symbolic link the file: the link may be made to point elsewhere.
            target.hardlink_to(source.resolve())
        except OSError:
            return False
    return True


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, waiting for it; it ends with the process at the latest.

    A missing file is made, its folders too; the content of one that is there is left alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file; None for one that is missing, half written or something else.

    NaN and infinity, which JSON does not know, are null.
    """
    try:
        found = json.loads(path.read_bytes(), parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def mark_of(path: Path) -> tuple[int, int] | None:
    """Return what changes with a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def cached(load: Callable[[Path], T], most: int) -> Callable[[Path], T | None]:
    """Return `load` with a memory for the `most` files read last, until they change; None for one that is not there."""

    @lru_cache(most)
    def at(path: Path, _mark: tuple[int, int]) -> T:
        return load(path)

    def get(path: Path) -> T | None:
        mark = mark_of(path)
        return at(path, mark) if mark else None

    return get


def sync_folder(folder: Path) -> None:
    """Put a folder's list of names on the disk, where its file system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # network file systems refuse it: the name is as safe there as they make it
    finally:
        os.close(handle)
