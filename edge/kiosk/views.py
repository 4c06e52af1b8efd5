"""What a page needs to know of the device, as plain values for the templates."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from edge import __version__
from edge.asking.status import SERVER_NOTICES
from edge.device import Device
from edge.kiosk.catalogue import Translate, translator
from edge.notices import Notice
from edge.queue.examination import Examination
from edge.reporting import vitals
from edge.reporting.records import examination_record
from edge.sections import LANGUAGES

UNUSUAL = 0.5  # `out_of_distribution` from which the picture is called out as no dermoscopy


@dataclass(frozen=True)
class Status:
    """The status line."""

    server: str  # ok | down | unknown
    version: str
    waiting: int
    temperature: int | None
    notices: list[Notice]


def language(device: Device) -> str:
    """The language that the nurse chose, else the configured one."""
    chosen = device.queue.fact("language", device.config.kiosk.language)
    return chosen if chosen in LANGUAGES else device.config.kiosk.language


def guide(device: Device) -> bool:
    """Whether the guide circle is drawn."""
    return device.queue.fact("guide", "on" if device.config.kiosk.guide else "off") == "on"


def status(device: Device) -> Status:
    """The status line's values."""
    notices = device.notices.all()
    down = any(notice.kind in SERVER_NOTICES for notice in notices)
    temperature = vitals.temperature_c()
    return Status(
        server="down" if down else ("ok" if device.sender.version else "unknown"),
        version=device.sender.version,
        waiting=device.queue.counts()["waiting"],
        temperature=None if temperature is None else round(temperature),
        notices=notices,
    )


def context(device: Device, page: str, **values: Any) -> dict[str, Any]:
    """What every template gets."""
    chosen = language(device)
    return {
        "t": translator(chosen),
        "language": chosen,
        "languages": LANGUAGES,
        "page": page,
        "status": status(device),
        "clock": clock,
        "news": news(device),
        **values,
    }


def facts(device: Device, t: Translate) -> list[tuple[str, str]]:
    """The settings page's table."""
    temperature = vitals.temperature_c()
    kept, free = (f"{size / 1e9:.1f}" for size in (device.queue.bytes_kept(), device.queue.free_bytes()))
    on_device = device.fallback.version if device.fallback else ""
    return [
        (t("settings.device"), device.config.device.id),
        (t("settings.camera"), device.camera.name),
        (t("settings.model"), device.sender.version or t("settings.none")),
        (t("settings.on_device"), on_device or t("settings.none")),
        (t("settings.storage"), t("settings.storage_value", kept=kept, free=free)),
        (
            t("settings.temperature"),
            "–" if temperature is None else t("status.degrees", value=round(temperature)),
        ),
        (t("settings.software"), __version__),
    ]


def news(device: Device) -> str:
    """What a page compares to know whether it must draw itself anew, as JSON."""
    return json.dumps(
        {
            "revision": device.queue.revision,
            "notices": [notice.kind for notice in device.notices.all()],
            "version": device.sender.version,
            "presses": device.presses,
        }
    )


def as_json(examination: Examination, device: Device) -> dict[str, Any]:
    """An examination for programs: the gateway's record and what is only known here."""
    return {
        **examination_record(examination, device.config.device.id),
        "heat_map": examination.heat_map,
        "tries": examination.tries,
        "reported": examination.reported,
        "kept": examination.kept,
    }


def clock(moment: float) -> str:
    """Date and time by the device's time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
