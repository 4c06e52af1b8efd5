"""The workspace's layout, and the only way from an address to a file in it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = ".melanosizer-workspace"


@dataclass(frozen=True)
class Workspace:
    """Paths below the folder that `melanosizer run` writes."""

    root: Path
    model_name: str

    @property
    def metadata(self) -> Path:
        """TFX's metadata store."""
        return self.root / "metadata.sqlite"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.root / "runs"

    def run_folder(self, run_id: str) -> Path:
        """Where one run keeps its configuration, log, outcome and report."""
        return self.runs / run_id

    @property
    def records(self) -> Path:
        """The registry's records of the model."""
        return self.root / "registry" / self.model_name

    @property
    def events(self) -> Path:
        """The registry's changes."""
        return self.root / "registry" / "events.jsonl"

    @property
    def served(self) -> Path:
        """The released SavedModels."""
        return self.root / "serving" / self.model_name

    @property
    def server_config(self) -> Path:
        """What the model server polls."""
        return self.root / "serving" / "models.config"

    def running(self) -> bool | None:
        """Whether a run holds the workspace; None where the kernel does not tell.

        A run keeps an exclusive lock on the marker. Asking for it ourselves could turn a starting run away,
        so the kernel's list is read instead.
        """
        try:
            marker = (self.root / MARKER).stat()
            locks = Path("/proc/locks").read_text()
        except OSError:
            return None
        name = f"{os.major(marker.st_dev):02x}:{os.minor(marker.st_dev):02x}:{marker.st_ino}"
        return any(name in line and "FLOCK" in line and "WRITE" in line for line in locks.splitlines())

    def contained(self, folder: Path, relative: str) -> Path | None:
        """A file below `folder` by its relative path; None for one that is not there or lies outside.

        Symbolic links are followed before the comparison, so that none leads out.
        """
        if "\0" in relative or relative.startswith("/"):
            return None
        try:
            base = folder.resolve(strict=True)
            path = (base / relative).resolve(strict=True)
        except (OSError, ValueError):
            return None
        return path if path.is_relative_to(base) and path.is_file() else None

    def located(self, uri: str) -> Path | None:
        """The folder of an artifact inside this workspace; None for one that lies elsewhere.

        Addresses are absolute; a workspace that was moved, or is mounted under another name, still has the
        same folders below `artifacts/`.
        """
        _, mark, rest = uri.rpartition("/artifacts/")
        for path in (Path(uri), *([self.root / "artifacts" / rest] if mark else [])):
            try:
                if path.is_dir() and path.resolve().is_relative_to(self.root.resolve()):
                    return path
            except (OSError, ValueError):
                continue
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object of a file; None where it is missing, half written or something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
