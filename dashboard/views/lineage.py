"""Lineage: from a data set to the model, its deployments and devices, and back from an image."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from core.numbers import count
from core.records.version import Event
from dashboard.access import Viewer
from dashboard.database.tables import DataImage, DataSet, Prediction, VersionDevice
from dashboard.faults import missing
from dashboard.graph import Box, graph
from dashboard.page import ANSWERS, Page, Part, respond
from dashboard.readers.registry import Version
from dashboard.services import Using
from dashboard.words import ago, short

router = APIRouter(tags=["lineage"])

MOST_DEVICES = 6
MOST_VERSIONS = 40
MOST_MATCHES = 20


class Answering(Part):
    """A device that a version answers."""

    device_id: str
    answers: int
    last: int


class Match(Part):
    """An image of a data set that a query found."""

    name: str
    sha256: str
    data_version: str
    split: str
    target: int
    trained: tuple[str, ...] = Field(description="versions trained on it")
    answers: int = Field(description="predictions those versions gave")
    seen: int = Field(description="predictions on this very image, by any version")


class LineagePage(Page):
    """What a version descends from, and what descends from it."""

    versions: tuple[Version, ...] = Field(description="the newest versions, to choose from")
    version: Version | None
    data_version: str
    data_folder: str
    data_images: int
    siblings: tuple[str, ...] = Field(description="other versions of the same data")
    events: tuple[Event, ...] = Field(description="its deployments")
    devices: tuple[Answering, ...]
    device_count: int
    answers: int
    image: str = Field(description="the image that was asked for: a name or a SHA-256")
    matches: tuple[Match, ...]


@router.get("/lineage", response_model=LineagePage, responses=ANSWERS)
def lineage(
    request: Request,
    using: Using,
    _: Viewer,
    version: Annotated[str, Query(pattern=r"^[0-9]{0,19}$")] = "",
    image: Annotated[str, Query(max_length=160)] = "",
) -> Response:
    """The graph of one version, and which predictions came from a model trained on an image."""
    versions = using.registry.all()
    name = version or using.registry.channels().stable or (versions[0].version if versions else "")
    chosen = using.registry.version(name) if name else None
    if version and chosen is None:
        raise missing(f"there is no version {version}")
    data_version = chosen.data_version if chosen else ""
    image = image.strip()
    with using.database.read() as session:
        data = session.get(DataSet, data_version) if data_version else None
        rows = session.execute(
            select(VersionDevice)
            .where(VersionDevice.version == name)
            .order_by(VersionDevice.answers.desc())
            .limit(50)
        ).scalars()
        devices = [Answering.of(row) for row in rows]
        device_count, answers = session.execute(
            select(func.count(), func.coalesce(func.sum(VersionDevice.answers), 0)).where(
                VersionDevice.version == name
            )
        ).one()
        matches = _matches(session, versions, image) if image else []
    model = LineagePage(
        title="Lineage",
        versions=tuple(versions[:MOST_VERSIONS]),
        version=chosen,
        data_version=data_version,
        data_folder=data.folder if data else "",
        data_images=data.images if data else 0,
        siblings=tuple(
            one.version for one in versions if one.data_version == data_version and one.version != name
        ),
        events=tuple(event for event in using.registry.events() if event.version == name),
        devices=tuple(devices),
        device_count=device_count,
        answers=answers,
        image=image,
        matches=tuple(matches),
    )
    return respond(request, using, "lineage.html", model, extra={"picture": _picture(model)})


def _matches(session: Session, versions: list[Version], image: str) -> list[Match]:
    rows = session.scalars(
        select(DataImage)
        .where(or_(DataImage.name == image, DataImage.sha256 == image.lower()))
        .order_by(DataImage.data_version, DataImage.name)
        .limit(MOST_MATCHES)
    ).all()
    result = []
    for row in rows:
        same_data = [one.version for one in versions if one.data_version == row.data_version]
        trained = tuple(same_data) if row.split == "train" else ()
        given = session.scalar(
            select(func.coalesce(func.sum(VersionDevice.answers), 0)).where(
                VersionDevice.version.in_(trained)
            )
        )
        seen = session.scalar(select(func.count()).where(Prediction.sha256 == row.sha256))
        result.append(Match.of(row, trained=trained, answers=int(given or 0), seen=seen or 0))
    return result


def _picture(page: LineagePage) -> object:
    chosen = page.version
    if chosen is None:
        return ""
    note = f"{count(page.data_images)} images" if page.data_images else "not indexed"
    auc = chosen.metrics.get("auc") or 0
    boxes = [
        Box("data", f"data {short(page.data_version, 10)}", note, "calm", f"/data/{page.data_version}"),
        Box("run", f"run {chosen.run_id}", f"preset {chosen.preset}", "pushed", f"/runs/{chosen.run_id}"),
        Box("model", chosen.version, f"AUC {auc:.3f}", chosen.channel or "", f"/models/{chosen.version}"),
    ]
    edges = [("data", "run"), ("run", "model")]
    if chosen.baseline:
        boxes.append(Box("base", chosen.baseline, "compared with", "", f"/models/{chosen.baseline}"))
        edges.append(("base", "run"))
    last = "model"
    for i, event in enumerate(page.events[-2:]):
        boxes.append(Box(f"event{i}", event.action.replace("_", " "), f"by {event.who}", event.action))
        edges.append((last, f"event{i}"))
        last = f"event{i}"
    for device in page.devices[:MOST_DEVICES]:
        name, note = device.device_id, f"{count(device.answers)} answers, {ago(device.last)}"
        boxes.append(Box(name, name, note, "fine", f"/devices/{name}"))
        edges.append((last, name))
    if page.device_count > MOST_DEVICES:
        boxes.append(Box("more", f"{page.device_count - MOST_DEVICES} more devices", "", "", "/devices"))
        edges.append((last, "more"))
    return graph(f"lineage of version {chosen.version}", boxes, edges, wide=200)
