"""Devices: who is alive, with which version, and in what state."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field
from sqlalchemy import case, delete, func, select

from dashboard import charts, clock
from dashboard.access import Admin, Viewer
from dashboard.database.tables import Device, EnrolmentCode, Heartbeat, Rule, VersionDevice
from dashboard.faults import invalid, present
from dashboard.page import ANSWERS, CHANGE, DONE, InQuery, ListPage, Page, PageNumber, Part, page_of, respond
from dashboard.security.tokens import CODE_HOURS
from dashboard.services import Services, Using
from dashboard.time_range import TimeRange
from dashboard.views.forms import FormData, InForm, OncePage, go, once

router = APIRouter(prefix="/devices", tags=["devices"])

ROWS = 50
MOST_BEATS = 20_000
POINTS = 300
DEFAULT_SILENCE = 60
NAMES = {
    "sent_at": "sent",
    "clock_trusted": "clock can be trusted",
    "uptime_s": "running for",
    "memory_bytes": "memory in use",
    "free_bytes": "free on the card",
    "kept_bytes": "kept examinations",
    "waiting": "examinations waiting",
    "unreported": "not reported yet",
    "set_aside": "set aside for a person",
}
RANKS = ("silent", "troubled", "fine")


class Seen(Part):
    """A device in a list."""

    id: str
    state: str = Field(description="fine, troubled or silent")
    last_seen: int
    model_version: str
    software: str
    queue_depth: int
    temperature: float | None
    errors: int
    answered: int


class DevicesPage(ListPage):
    """All devices, the longest silent first."""

    devices: tuple[Seen, ...]
    states: dict[str, int] = Field(description="devices that match the search, by state")
    state: str = Field(description="only devices in this state; empty for all")
    search: str
    versions: dict[str, int] = Field(description="devices by the version they were answered by last")
    silent_minutes: float


class DeviceRange(TimeRange):
    """The time of a device's curves."""

    last: str = Field("1d", pattern=TimeRange.PATTERN, description="hours or days up to now, e.g. 6h, 7d")


class DevicePage(Page):
    """One device."""

    asked: DeviceRange

    device: Seen
    first_seen: int
    heartbeat: dict[str, Any] = Field(description="the last one, as it came")
    versions: tuple[tuple[str, int, int], ...] = Field(description="version, answers, last")
    may_manage: bool


class EnrolForm(FormData):
    """A device that is to sign on."""

    device_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")


@router.get("", response_model=DevicesPage, responses=ANSWERS)
def devices(
    request: Request,
    using: Using,
    _: Viewer,
    page: PageNumber = 1,
    search: Annotated[str, Query(max_length=64)] = "",
    state: Annotated[str, Query(pattern=r"^(|silent|troubled|fine)$")] = "",
) -> Response:
    """All devices, silent ones first, then those with notices."""
    silence = silent_after(using)
    edge = clock.now() - int(silence * clock.MINUTE)
    rank = case((Device.last_seen < edge, 0), (Device.errors > 0, 1), else_=2)
    found = [Device.id.contains(search, autoescape=True)] if search else []
    wanted = [*found, *([rank == RANKS.index(state)] if state else [])]
    with using.database.read() as session:
        rows_by_rank = session.execute(select(rank, func.count()).where(*found).group_by(rank))
        counted = {row[0]: row[1] for row in rows_by_rank}
        states = {name: counted.get(number, 0) for number, name in enumerate(RANKS)}
        order = rank, case((rank == 0, Device.last_seen), else_=-Device.last_seen), Device.id
        rows, place = page_of(session, select(Device).where(*wanted).order_by(*order), page, ROWS)
        rows_by_version = session.execute(
            select(Device.model_version, func.count())
            .where(Device.model_version != "")
            .group_by(Device.model_version)
            .order_by(func.count().desc())
            .limit(8)
        ).all()
    model = DevicesPage(
        title="Devices",
        devices=tuple(_seen(row, edge) for row in rows),
        **place,
        states=states,
        state=state,
        search=search,
        versions={row[0]: row[1] for row in rows_by_version},
        silent_minutes=silence,
    )
    return respond(request, using, "devices.html", model)


@router.get("/{device_id}", response_model=DevicePage, responses=ANSWERS)
def device(
    request: Request, using: Using, person: Viewer, device_id: str, asked: InQuery[DeviceRange]
) -> Response:
    """One device."""
    since, until = asked.limits(person.zone)
    with using.database.read() as session:
        row = present(session.get(Device, device_id), f"there is no device {device_id[:64]}")
        beats = session.scalars(
            select(Heartbeat)
            .where(Heartbeat.device_id == device_id, Heartbeat.at >= since, Heartbeat.at <= until)
            .order_by(Heartbeat.at.desc())
            .limit(MOST_BEATS)
        ).all()
        beats = beats[:: -(-len(beats) // POINTS) or 1][::-1]
        versions = session.execute(
            select(VersionDevice.version, VersionDevice.answers, VersionDevice.last)
            .where(VersionDevice.device_id == device_id)
            .order_by(VersionDevice.last.desc())
            .limit(20)
        ).all()
    model = DevicePage(
        title=device_id,
        asked=asked,
        device=_seen(row, clock.now() - int(silent_after(using) * clock.MINUTE)),
        first_seen=row.first_seen,
        heartbeat=row.heartbeat,
        versions=tuple((one.version, one.answers, one.last) for one in versions),
        may_manage=person.may("admin"),
    )
    named = {"temperature": "temperature"}
    extra = {
        "names": NAMES,
        "temperature": charts.timeline("temperature", "°C", beats, named, low=None, zone=person.zone),
        "queue": charts.timeline("queue", "waiting", beats, {"waiting": "queue_depth"}, zone=person.zone),
    }
    return respond(request, using, "device.html", model, extra=extra)


@router.post("/enrol", response_model=OncePage, responses={**ANSWERS, **DONE, 200: ANSWERS[200]})
def enrol(request: Request, using: Using, person: Admin, form: InForm[EnrolForm]) -> Response:
    """Make a one-time code with which a device signs on; it is shown once."""
    with using.database.write() as session:
        code = using.tokens.code(session, form.device_id, person.name)
        using.audit.add(session, person.name, "device.code", form.device_id)
    note = f"Type it on the device within {CODE_HOURS} hours: melanosizer-edge enroll --code CODE"
    return once(request, using, title=f"Enrol {form.device_id}", label="Code", value=code, note=note)


class DeleteForm(FormData):
    """The device's name once more, so that no slip deletes one."""

    confirm: str = Field(max_length=64)


@router.post("/{device_id}/delete", **CHANGE)
def delete_device(using: Using, person: Admin, device_id: str, form: InForm[DeleteForm]) -> RedirectResponse:
    """Delete a retired device and end its tokens; its answers and examinations stay."""
    if form.confirm != device_id:
        raise invalid(f"confirm: type the device's name, {device_id[:64]}")
    with using.database.write() as session:
        row = present(session.get(Device, device_id), f"there is no device {device_id[:64]}")
        using.tokens.revoke_all(session, device_id)
        session.execute(delete(Heartbeat).where(Heartbeat.device_id == device_id))
        session.execute(delete(EnrolmentCode).where(EnrolmentCode.device_id == device_id))
        session.delete(row)
        using.audit.add(session, person.name, "device.delete", device_id)
    return go("/devices")


def silent_after(using: Services) -> float:
    """Minutes after which a device counts as silent: the first rule's that says so."""
    with using.database.read() as session:
        found = session.scalar(
            select(Rule.limit)
            .where(Rule.kind == "device_silent", Rule.enabled, Rule.deleted.is_(None))
            .order_by(Rule.id)
        )
    return float(found) if found else DEFAULT_SILENCE


def _seen(row: Device, edge: int) -> Seen:
    state = "silent" if row.last_seen < edge else "troubled" if row.errors else "fine"
    return Seen.of(row, state=state)
