"""The workspace: the folder that holds everything a pipeline makes, and the one home of its layout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import UsageError

MARKER = ".melanosizer-workspace"  # a run holds an exclusive lock on it


class _Below:
    """A path below the workspace's folder."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, workspace: Workspace, _: type[Workspace]) -> Path:
        return workspace.root.joinpath(*self._parts)


@dataclass(frozen=True)
class Workspace:
    """Paths below one folder; nothing is created until :meth:`prepare`."""

    root: Path

    metadata = _Below("metadata.sqlite")  # TFX's metadata store
    artifacts = _Below("artifacts")  # TFX's pipeline root
    cache = _Below("cache")  # decoded images, features and backups; may be deleted between runs
    serving = _Below("serving")  # what a model server watches
    server_config = _Below("serving", "models.config")  # the ModelServerConfig that it polls
    runs = _Below("runs")  # one folder a run: configuration, log, summary, report
    registry = _Below("registry")  # the records of all models
    events = _Below(
        "registry", "events.jsonl"
    )  # every change of what is served, one line each, of all models
    lineage = _Below(
        "registry", "lineage"
    )  # one folder a run, in it one record a step: what it read and wrote

    def run(self, run_id: str) -> Path:
        """The folder of one run."""
        return self.runs / run_id

    def records(self, model_name: str) -> Path:
        """The registry's records of one model."""
        return self.registry / model_name

    def served(self, model_name: str) -> Path:
        """The released SavedModels of one model."""
        return self.serving / model_name

    def prepare(self) -> None:
        """Create the workspace. Raises UsageError if the path is a file, or a folder that holds something else."""
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"--workspace {self.root}: is a file; name a folder")
        marker = self.root / MARKER
        if self.root.is_dir() and not marker.exists() and any(self.root.iterdir()):
            raise UsageError(
                f"--workspace {self.root}: the folder holds other things; name a new or an empty one"
            )
        for folder in (self.root, self.artifacts, self.cache, self.serving, self.runs):
            folder.mkdir(parents=True, exist_ok=True)
        marker.touch()

    def existing(self) -> Workspace:
        """Return this workspace. Raises UsageError if there is none at the path."""
        if not (self.root / MARKER).exists():
            raise UsageError(f"--workspace {self.root}: no workspace there; `melanosizer run` makes one")
        return self

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second run out while one is writing. Raises UsageError if another one holds the workspace."""
        with (self.root / MARKER).open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"--workspace {self.root}: another run is using it; wait for it, or name another workspace"
                ) from None
            yield

    def running(self) -> bool | None:
        """Return whether a run holds the workspace; None where the kernel does not tell."""
        locks = self._locks()
        return None if locks is None else bool(locks)

    def holder(self) -> int | None:
        """Return the process that holds the workspace; None for none, or one that cannot be seen from here."""
        locks = self._locks()
        if not locks:
            return None
        pid = int(locks[0].split("FLOCK", 1)[1].split()[2])
        return pid if pid > 1 and pid != os.getpid() and Path(f"/proc/{pid}").exists() else None

    def _locks(self) -> list[str] | None:
        """Return the kernel's lines about the workspace's lock: asking for it could turn a starting run away."""
        try:
            marker = (self.root / MARKER).stat()
            locks = Path("/proc/locks").read_text()
        except OSError:
            return None
        name = f"{os.major(marker.st_dev):02x}:{os.minor(marker.st_dev):02x}:{marker.st_ino}"
        return [line for line in locks.splitlines() if name in line and "FLOCK" in line and "WRITE" in line]

    def located(self, uri: str) -> Path | None:
        """Return the folder of an artifact inside this workspace; None for one that lies elsewhere.

        Addresses are absolute; a workspace that was moved, or is mounted under another name, still has the
        same folders below ``artifacts/``.
        """
        _, mark, rest = uri.rpartition("/artifacts/")
        for path in (Path(uri), *([self.artifacts / rest] if mark else [])):
            try:
                if path.is_dir() and path.resolve().is_relative_to(self.root.resolve()):
                    return path
            except (OSError, ValueError):
                continue
        return None


def contained(folder: Path, relative: str) -> Path | None:
    """Return the file below ``folder`` at a relative path; None for one that is not there, or to which a link leads out."""
    if "\0" in relative or relative.startswith("/"):
        return None
    try:
        base = folder.resolve(strict=True)
        path = (base / relative).resolve(strict=True)
    except (OSError, ValueError):
        return None
    return path if path.is_relative_to(base) and path.is_file() else None
