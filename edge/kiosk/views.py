"""What a page needs to know of the device, as plain values for the templates."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from edge import __version__
from edge.asking.status import SERVER_NOTICES
from edge.config import LANGUAGES
from edge.device import Device
from edge.notices import Notice
from edge.queue.examination import Examination
from edge.reporting.records import examination_record, temperature_c

Translate = Callable[..., str]
UNUSUAL = 0.5  # `out_of_distribution` from which the picture is called out as no dermoscopy


@dataclass(frozen=True)
class Status:
    """The status line."""

    server: str  # ok | down | trouble | unknown
    version: str
    waiting: int
    temperature: int | None
    notices: list[Notice]


@cache
def texts(language: str) -> dict[str, str]:
    """Return the texts of a language, one TOML file, by dotted key."""
    raw = files("edge.kiosk").joinpath("catalogue", f"{language}.toml").read_text(encoding="utf-8")
    return {
        f"{section}.{key}": text
        for section, table in tomllib.loads(raw).items()
        for key, text in table.items()
    }


def translator(language: str) -> Translate:
    """Return a function from key and named values to text; an unknown key is a KeyError, which a test looks for."""
    found = texts(language)

    def translate(key: str, **values: object) -> str:
        return found[key].format(**values) if values else found[key]

    return translate


def language(device: Device) -> str:
    """Return the language that the nurse chose, else the configured one."""
    chosen = device.queue.fact("language", device.config.kiosk.language)
    return chosen if chosen in LANGUAGES else device.config.kiosk.language


def guide(device: Device) -> bool:
    """Whether the guide circle is drawn."""
    return device.queue.fact("guide", "on" if device.config.kiosk.guide else "off") == "on"


def status(device: Device) -> Status:
    """Return the status line's values."""
    notices = device.notices.all()
    kinds = {notice.kind for notice in notices}
    if kinds & {"server_unreachable", "certificate_expired"}:
        server = "down"
    elif kinds & set(SERVER_NOTICES):
        server = "trouble"
    else:
        server = "ok" if device.sender.version else "unknown"
    temperature = temperature_c()
    counts = device.queue.counts()
    return Status(
        server=server,
        version=device.sender.version,
        waiting=counts["waiting"] - counts["set_aside"],
        temperature=None if temperature is None else round(temperature),
        notices=notices,
    )


def context(device: Device, page: str, **values: Any) -> dict[str, Any]:
    """Return what every template gets."""
    chosen = language(device)
    t = translator(chosen)
    return {
        "t": t,
        "language": chosen,
        "languages": LANGUAGES,
        "page": page,
        "status": status(device),
        "clock": clock,
        "percent": lambda share: percent(share, t("number.decimal")),
        "state": live_state(device),
        **values,
    }


def facts(device: Device, t: Translate) -> list[tuple[str, str]]:
    """Return the settings page's table."""
    temperature = temperature_c()
    kept, free = (
        f"{size / 1e9:.1f}".replace(".", t("number.decimal"))
        for size in (device.queue.bytes_kept(), device.queue.free_bytes())
    )
    degrees = "–" if temperature is None else t("status.degrees", value=round(temperature))
    on_device = device.fallback.version if device.fallback else ""
    return [
        (t("settings.device"), device.config.device.id),
        (t("settings.camera"), device.camera.name),
        (t("settings.model"), device.sender.version or t("settings.none")),
        (t("settings.on_device"), on_device or t("settings.none")),
        (t("settings.storage"), t("settings.storage_value", kept=kept, free=free)),
        (t("settings.temperature"), degrees),
        (t("settings.software"), __version__),
    ]


def live_state(device: Device) -> str:
    """Return what a page compares to know whether it must draw itself again, as JSON."""
    return json.dumps(
        {
            "instance": device.instance,
            "revision": device.queue.revision,
            "notices": [notice.kind for notice in device.notices.all()],
            "version": device.sender.version,
            "presses": device.presses,
        }
    )


def as_json(examination: Examination, device: Device) -> dict[str, Any]:
    """Return an examination for programs: the gateway's record and what is only known here."""
    return {
        **examination_record(examination, device.config.device.id),
        "heat_map": examination.heat_map,
        "tries": examination.tries,
        "reported": examination.reported,
        "kept": examination.kept,
        "set_aside": examination.set_aside,
    }


def offline_texts() -> list[tuple[str, str]]:
    """Return title and text of the page that is kept for the time the device is down, in every language."""
    found = [translator(name) for name in LANGUAGES]
    return [(t("status.stale"), t("capture.stale_help")) for t in found]


def clock(moment: float) -> str:
    """Return date and time by the device's time zone; a device that knows none says UTC."""
    local = time.localtime(moment)
    zone = " UTC" if local.tm_zone == "UTC" else ""
    return time.strftime("%Y-%m-%d %H:%M", local) + zone


def percent(share: float, decimal: str) -> str:
    """Return a share of 1 in percent, with the language's `decimal` mark; only certainty reads as 0 % or 100 %."""
    value = share * 100
    if 0 < value < 0.05:
        text = "< 0.1"
    elif value < 9.95:
        text = f"{value:.1f}"
    elif 99.5 <= value < 100:
        text = "> 99"
    else:
        text = f"{value:.0f}"
    return text.replace(".", decimal) + "\N{NO-BREAK SPACE}%"
