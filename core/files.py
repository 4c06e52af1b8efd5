"""Files that a reader sees whole: atomic replacement, appended lines, an exclusive lock."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_FICLONE: Final = 0x40049409  # linux/fs.h


def write_atomic(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Replace a file at once, so that a reader sees the old or the new one and nothing between.

    The content is on the disk before the name points to it: a power cut leaves one of the two whole. Missing
    parent folders are made.

    Args:
        path: the file; its folder must allow a second file beside it.
        content: the whole new content; text is written as UTF-8.
        mode: permissions of the new file before the umask; 0o600 for secrets.

    Raises:
        OSError: the folder cannot be written, or the disk is full; the old file is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Append one line and wait until it is on the disk.

    A line that an earlier process left half written is closed first, so that it costs itself and not this one.

    Args:
        path: the file, made if it is missing, its folders too.
        line: text without a line break.

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

    For files that nobody edits in place: with a hard link such an edit would reach both names.

    Args:
        source: an existing file.
        target: the new name.

    Returns:
        Whether that was possible; it is not on two file systems, on some kinds, and for some owners.

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

    Args:
        path: the lock's file, made if it is missing, its folders too. Its content is left alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file; None for one that is missing, half written or something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


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
