"""Runs of this workspace: finished ones by their run.json, those under way by what they wrote so far."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from core.files import cached, mark_of, read_json
from core.records.verdict import Verdict
from core.settings import Frozen, first_fault
from core.workspace import Workspace, contained
from dashboard import clock

M = TypeVar("M", bound=BaseModel)
# Where the kernel cannot tell, a run whose log says nothing for this long is taken for dead; where it says
# nobody holds the workspace, the run may still sit in another container, whose locks are not listed here.
SILENCE_S = 600.0
GRACE_S = 120.0


class Run(Frozen):
    """One run."""

    run_id: str
    state: str = Field(description="pushed, unchanged, refused, failed, running, interrupted or damaged")
    reason: str = Field("", description="why it was refused or failed")
    preset: str = ""
    started: int | None = Field(None, description="milliseconds since 1970, UTC")
    seconds: float | None = None
    data: str = Field("", description="folder of the ingested data set")
    data_version: str = ""
    version: str | None = Field(None, description="the version served after the run")
    auc: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    threshold: float | None = None
    origin: str = Field("local", description="local, or cluster")
    tags: tuple[str, ...] = Field((), description="what people put on it")
    note: str = ""
    archived: bool = False
    noted: int = Field(0, description="when tags, note or archive were changed last; 0 for never")

    @property
    def of_a_study(self) -> bool:
        """Whether it measured something that is never released as the melanoma model."""
        return self.preset.startswith("studies/")


class RunFiles:
    """Reads runs; run.json is read again only when it changed. A damaged one is shown as such beside the others."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._documents = cached(read_json, 1000)
        # By name and with a plain stat: thousands of runs are looked at for one page.
        self._summaries: dict[str, tuple[tuple[int, int], Run]] = {}

    def ids(self) -> list[str]:
        """Return all runs, newest first."""
        try:
            with os.scandir(self._workspace.runs) as found:
                return sorted(
                    (one.name for one in found if _is_name(one.name) and one.is_dir(follow_symlinks=False)),
                    reverse=True,
                )
        except OSError:
            return []

    def damaged(self) -> tuple[str, ...]:
        """Return a sentence for each folder that cannot be a run's."""
        try:
            names = [path.name for path in self._workspace.runs.iterdir() if not _is_name(path.name)]
        except OSError:
            return ()
        shown = (os.fsencode(name).decode("utf-8", "backslashreplace") for name in sorted(names))
        return tuple(
            f"{self._workspace.runs}/{name}: the folder's name is not UTF-8, or begins with a dot or holds control "
            "characters: rename it"
            for name in shown
        )

    def folder(self, run_id: str) -> Path | None:
        """Return a run's folder; None where there is no such run."""
        if not run_id or "/" in run_id or run_id in (".", "..") or "\0" in run_id:
            return None
        path = self._workspace.runs / run_id
        return path if path.is_dir() and not path.is_symlink() else None

    def run(self, run_id: str) -> Run | None:
        """Return one run."""
        folder = self.folder(run_id)
        return self._of(str(self._workspace.runs), run_id, self.ids()[:1]) if folder else None

    def all(self) -> list[Run]:
        """Return every run, newest first."""
        ids = self.ids()
        base, newest = str(self._workspace.runs), ids[:1]
        return [self._of(base, run_id, newest) for run_id in ids]

    def file(self, run_id: str, name: str) -> Path | None:
        """Return a file of a run; None where it is not there."""
        folder = self.folder(run_id)
        return contained(folder, name) if folder else None

    def document(self, run_id: str, name: str = "run.json") -> dict[str, Any]:
        """Return a whole document of a run; empty while it is not there, or where it is damaged."""
        folder = self.folder(run_id)
        return (self._documents(folder / name) if folder else None) or {}

    def steps(self, run_id: str) -> list[dict[str, Any]]:
        """Return the steps of a run.json; what has not their form is left out."""
        found = self.document(run_id).get("steps")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def verdicts(self, run_id: str) -> tuple[Verdict, ...]:
        """What the gates decided."""
        return well_formed(Verdict, self.document(run_id).get("verdicts"))

    def output(self, run_id: str, step: str, output: str) -> Path | None:
        """The folder of a step's output, inside the workspace."""
        for one in self.steps(run_id):
            outputs = one.get("outputs") if one.get("name") == step else None
            uris = outputs.get(output) if isinstance(outputs, dict) else None
            if isinstance(uris, list) and uris:
                return self._workspace.located(str(uris[0]))
        return None

    def config(self, run_id: str) -> dict[str, Any]:
        """The run's configuration."""
        return self.document(run_id, "config.json")

    def stop(self, run_id: str) -> str:
        """Interrupt a run as Ctrl-C would; what stood in the way, empty where it was told to stop.

        The process is the one that holds the workspace's lock; the kernel says which.
        """
        found = self.run(run_id)
        if found is None or found.state != "running":
            return f"run {run_id} is not running: it is {found.state if found else 'not there'}"
        pid = self._workspace.holder()
        if pid is None:
            return "its process is not on this machine, or in another container: stop it where it was started"
        try:
            os.kill(pid, signal.SIGINT)
        except OSError as error:
            return f"process {pid} cannot be stopped: {error.strerror}"
        return ""

    def stamp(self) -> object:
        """Changes when a run starts, goes on or ends."""
        folders = [self._workspace.runs / run_id for run_id in self.ids()[:20]]
        ended = [(one, (one / "run.json").exists(), (one / "report.html").exists()) for one in folders]
        return ended, mark_of(self._workspace.metadata)

    def _of(self, base: str, run_id: str, newest: list[str]) -> Run:
        path = f"{base}/{run_id}/run.json"
        try:
            found = os.stat(path)  # noqa: PTH116 - a Path for each of thousands takes longer than the stat
        except OSError:
            return self._unfinished(self._workspace.run(run_id), newest == [run_id])
        mark = found.st_mtime_ns, found.st_size
        held = self._summaries.get(run_id)
        if held is None or held[0] != mark:
            held = self._summaries[run_id] = mark, _load(Path(path))
        return held[1]

    def _unfinished(self, folder: Path, newest: bool) -> Run:
        try:
            started: int | None = int((folder / "config.json").stat().st_mtime * 1000)
            silent = time.time() - (folder / "run.log").stat().st_mtime
        except OSError:
            started, silent = None, SILENCE_S + 1
        held = self._workspace.running() if newest else False
        alive = newest and (held is True or silent < (SILENCE_S if held is None else GRACE_S))
        return Run(
            run_id=folder.name,
            state="running" if alive else "interrupted",
            reason="" if alive else "the run ended without a record; its log says how far it came",
            started=started,
            seconds=(clock.now() - started) / 1000 if started and alive else None,
        )


def _is_name(name: str) -> bool:
    """Whether a folder's name can be written on a page: one that is not UTF-8 holds surrogates."""
    return name.isprintable() and not name.startswith(".")


def _load(path: Path) -> Run:
    found = read_json(path)
    if found is None:
        return _damaged(path, "it is not a JSON object")
    metrics = found.get("metrics") or {}
    try:
        if not isinstance(metrics, dict):
            raise ValueError(f"metrics is a {type(metrics).__name__}, not a table")
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
    except ValidationError as error:
        return _damaged(path, first_fault(error))
    except (ValueError, TypeError, OverflowError) as error:
        return _damaged(path, str(error))


def _damaged(path: Path, reason: str) -> Run:
    return Run(
        run_id=path.parent.name,
        state="damaged",
        reason=f"{path} cannot be read ({reason}): restore it from a backup",
    )


def _share(part: float | None, rest: float | None) -> float | None:
    if part is None or rest is None or part + rest == 0:
        return None
    return part / (part + rest)


def well_formed(kind: type[M], found: Any) -> tuple[M, ...]:
    """Return the entries of a document's list that have the form of a record; others are left out."""
    result = []
    for one in found if isinstance(found, list) else []:
        try:
            result.append(kind.model_validate(one))
        except ValueError:
            continue
    return tuple(result)
