"""Runs of this workspace: finished ones by their run.json, those under way by what they wrote so far."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core.files import read_json
from core.records.verdict import Verdict
from core.workspace import Workspace
from dashboard import clock
from dashboard.readers.cache import FileCache

# Where the kernel cannot tell, a run whose log says nothing for this long is taken for dead; where it says
# nobody holds the workspace, the run may still sit in another container, whose locks are not listed here.
SILENCE_S = 600.0
GRACE_S = 120.0


class Run(BaseModel):
    """One run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    state: str = Field(description="pushed, unchanged, refused, failed, running or interrupted")
    reason: str = Field(description="why it was refused or failed")
    preset: str
    started: int | None = Field(description="milliseconds since 1970, UTC")
    seconds: float | None
    data: str = Field(description="folder of the ingested data set")
    data_version: str
    version: str | None = Field(description="the version served after the run")
    auc: float | None
    sensitivity: float | None
    specificity: float | None
    threshold: float | None
    origin: str = Field("local", description="local, or cluster")

    @property
    def of_a_study(self) -> bool:
        """Whether it measured something that is never released as the melanoma model."""
        return self.preset.startswith("studies/")


class RunFiles:
    """Reads runs; run.json is read again only when it changed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._documents: FileCache[dict[str, Any] | None] = FileCache(read_json, 1000)
        self._summaries: FileCache[Run | None] = FileCache(_load, 5000)

    def ids(self) -> list[str]:
        """All runs, newest first."""
        try:
            return sorted(
                (path.name for path in self._workspace.runs.iterdir() if path.is_dir()), reverse=True
            )
        except OSError:
            return []

    def folder(self, run_id: str) -> Path | None:
        """A run's folder; None where there is no such run."""
        if not run_id or "/" in run_id or run_id in (".", "..") or "\0" in run_id:
            return None
        path = self._workspace.runs / run_id
        return path if path.is_dir() and not path.is_symlink() else None

    def run(self, run_id: str) -> Run | None:
        """One run."""
        folder = self.folder(run_id)
        if folder is None:
            return None
        return self._summaries.get(folder / "run.json") or self._unfinished(folder)

    def all(self) -> list[Run]:
        """Every run, newest first."""
        found = (self.run(run_id) for run_id in self.ids())
        return [run for run in found if run is not None]

    def document(self, run_id: str) -> dict[str, Any]:
        """The whole run.json; empty while the run is under way."""
        folder = self.folder(run_id)
        return (self._documents.get(folder / "run.json") if folder else None) or {}

    def verdicts(self, run_id: str) -> tuple[Verdict, ...]:
        """What the gates decided."""
        return verdicts(self.document(run_id).get("verdicts"))

    def output(self, run_id: str, step: str, output: str) -> Path | None:
        """The folder of a step's output, inside the workspace."""
        for one in self.document(run_id).get("steps", []):
            uris = one.get("outputs", {}).get(output) if one.get("name") == step else None
            if uris:
                return self._workspace.located(str(uris[0]))
        return None

    def config(self, run_id: str) -> dict[str, Any]:
        """The run's configuration."""
        folder = self.folder(run_id)
        return (self._documents.get(folder / "config.json") if folder else None) or {}

    def stamp(self) -> object:
        """Changes when a run starts, goes on or ends."""
        marks: list[object] = []
        for run_id in self.ids()[:20]:
            folder = self._workspace.runs / run_id
            done = (folder / "run.json").exists()
            marks.append((run_id, done, (folder / "report.html").exists()))
        try:
            found = self._workspace.metadata.stat()
            marks.append((found.st_mtime_ns, found.st_size))
        except OSError:
            marks.append(None)
        return tuple(marks)

    def _unfinished(self, folder: Path) -> Run:
        try:
            started: int | None = int((folder / "config.json").stat().st_mtime * 1000)
            silent = time.time() - (folder / "run.log").stat().st_mtime
        except OSError:
            started, silent = None, SILENCE_S + 1
        held = self._workspace.running()
        newest = folder.name == next(iter(self.ids()), "")
        alive = newest and (held is True or silent < (SILENCE_S if held is None else GRACE_S))
        return Run(
            run_id=folder.name,
            state="running" if alive else "interrupted",
            reason="" if alive else "the run ended without a record; its log says how far it came",
            preset="",
            started=started,
            seconds=(clock.now() - started) / 1000 if started and alive else None,
            data="",
            data_version="",
            version=None,
            auc=None,
            sensitivity=None,
            specificity=None,
            threshold=None,
        )


def _load(path: Path) -> Run | None:
    found = read_json(path)
    if found is None:
        return None
    metrics = found.get("metrics") or {}
    try:
        return Run(
            run_id=path.parent.name,
            state=str(found.get("status", "failed")),
            reason=str(found.get("reason", "")),
            preset=str(found.get("preset", "")),
            started=clock.parse(found["started"]) if found.get("started") else None,
            seconds=found.get("seconds"),
            data=str(found.get("data", "")),
            data_version=str(found.get("data_version", "")),
            version=found.get("version"),
            auc=metrics.get("auc"),
            sensitivity=_share(metrics.get("true_positives"), metrics.get("false_negatives")),
            specificity=_share(metrics.get("true_negatives"), metrics.get("false_positives")),
            threshold=found.get("threshold"),
        )
    except ValueError:
        return None


def _share(part: int | None, rest: int | None) -> float | None:
    if part is None or rest is None or part + rest == 0:
        return None
    return part / (part + rest)


def verdicts(found: Any) -> tuple[Verdict, ...]:
    """Return the verdicts of a document; what has not their form is left out."""
    result = []
    for one in found if isinstance(found, list) else []:
        try:
            result.append(Verdict.model_validate(one))
        except ValueError:
            continue
    return tuple(result)
