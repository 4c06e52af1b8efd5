"""Artifacts of the metadata store: rendered by their type, and their files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from pydantic import Field

from core.charts import marks
from core.files import read_json
from core.records.verdict import Verdict
from core.workspace import contained
from dashboard.access import Viewer
from dashboard.faults import present
from dashboard.middleware import SANDBOX
from dashboard.page import ANSWERS, Page, Part, of_kind, respond
from dashboard.readers import statistics
from dashboard.readers.metadata import Artifact
from dashboard.readers.runs import well_formed
from dashboard.readers.statistics import Anomaly, Feature
from dashboard.services import Services, Using

router = APIRouter(prefix="/artifacts", tags=["artifacts"])

MOST_FILES = 200
MOST_TEXT = 200_000
PLAIN = {".json", ".pbtxt", ".csv", ".txt", ".log", ".yaml"}


class File(Part):
    """A file of an artifact."""

    path: str
    bytes: int


class ArtifactPage(Page):
    """One artifact."""

    artifact: Artifact
    run_id: str
    step: str
    files: tuple[File, ...]
    statistics: dict[str, tuple[Feature, ...]] = Field(description="by split, of a Statistics artifact")
    anomalies: tuple[Anomaly, ...] | None = Field(description="of an ExampleAnomalies artifact")
    verdict: Verdict | None
    text: str = Field(description="a schema or another small text")


@router.get("/{number}", response_model=ArtifactPage, responses=ANSWERS)
def artifact(request: Request, using: Using, _: Viewer, number: int) -> Response:
    """What an artifact holds."""
    found, folder = _found(using, number)
    run_id, step = using.metadata.producer(number)
    stats = {split: tuple(rows) for split, rows in statistics.statistics(folder).items()}
    model = ArtifactPage(
        title=f"{found.type} {number}",
        artifact=found,
        run_id=run_id,
        step=step,
        files=tuple(_files(folder)),
        statistics=stats,
        anomalies=tuple(statistics.anomalies(folder)) if found.type == "ExampleAnomalies" else None,
        verdict=next(iter(well_formed(Verdict, [read_json(folder / "verdict.json")])), None),
        text=_text(folder),
    )
    charts: dict[str, Any] = {
        f"{split}/{feature.name}": marks.columns(
            f"{feature.name} in {split}",
            [(f"{low:.4g} to {high:.4g}", count) for low, high, count in feature.histogram],
        )
        for split, rows in stats.items()
        for feature in rows
        if feature.histogram
    }
    return respond(request, using, "artifact.html", model, extra={"charts": charts})


@router.get(
    "/{number}/files/{path:path}",
    response_model=None,
    responses=of_kind("text/plain", "application/octet-stream"),
)
def file(using: Using, _: Viewer, number: int, path: str) -> Response:
    """A file of an artifact, as a download; nothing in it may run."""
    _found_one, folder = _found(using, number)
    found = present(contained(folder, path), "the artifact has no such file")
    kind = "text/plain; charset=utf-8" if found.suffix in PLAIN else "application/octet-stream"
    return FileResponse(
        found, media_type=kind, filename=found.name, headers={"Content-Security-Policy": SANDBOX}
    )


def _found(using: Services, number: int) -> tuple[Artifact, Path]:
    found = present(
        using.metadata.artifact(number) if 0 < number < 2**62 else None, f"there is no artifact {number}"
    )
    # An address in the store that points elsewhere is not followed.
    folder = using.workspace.located(found.uri)
    return found, present(folder, f"the files of artifact {number} are not in this workspace: {found.uri}")


def _files(folder: Path) -> list[File]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return [
        File(path=str(path.relative_to(folder)), bytes=path.stat().st_size)
        for path in islice(paths, MOST_FILES)
    ]


def _text(folder: Path) -> str:
    for path in sorted(folder.iterdir()):
        if path.suffix in (".pbtxt", ".json") and path.is_file() and path.stat().st_size <= MOST_TEXT:
            return path.read_text(encoding="utf-8", errors="replace")
    return ""
