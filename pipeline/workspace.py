"""Where a run keeps what it makes: the one home of the workspace's layout."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import UsageError

MARKER = ".melanosizer-workspace"


@dataclass(frozen=True)
class Workspace:
    """Paths below one folder; nothing is created until :meth:`prepare`."""

    root: Path

    @property
    def metadata(self) -> Path:
        """The sqlite metadata store."""
        return self.root / "metadata.sqlite"

    @property
    def artifacts(self) -> Path:
        """TFX's pipeline root."""
        return self.root / "artifacts"

    @property
    def cache(self) -> Path:
        """Decoded images, features and training backups; may be deleted at any time between runs."""
        return self.root / "cache"

    @property
    def serving(self) -> Path:
        """The folder a model server watches."""
        return self.root / "serving"

    @property
    def runs(self) -> Path:
        """One folder a run: configuration, log, summary, report."""
        return self.root / "runs"

    def run(self, run_id: str) -> Path:
        """The folder of one run."""
        return self.runs / run_id

    def prepare(self) -> None:
        """Create the workspace.

        Raises:
            UsageError: the path is a file, or a folder that holds something else.
        """
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
        """Return this workspace.

        Raises:
            UsageError: there is none at the path.
        """
        if not (self.root / MARKER).exists():
            raise UsageError(f"--workspace {self.root}: no workspace there; `melanosizer run` makes one")
        return self

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second run out while one is writing.

        Raises:
            UsageError: another run holds the workspace.
        """
        with (self.root / MARKER).open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"--workspace {self.root}: another run is using it; wait for it, or name another workspace"
                ) from None
            yield
