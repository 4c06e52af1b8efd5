"""The device's configuration, one TOML file: every field with its reason and a default."""

from __future__ import annotations

import os
import re
import socket
import tomllib
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from core.errors import UsageError
from core.records.heartbeat import DEVICE_ID_PATTERN
from core.settings import Frozen, Share, explain

LANGUAGES = ("en", "de")
SYSTEM_STATE = Path("/var/lib/melanosizer-edge")
# A name, an IPv4 address or a bracketed IPv6 address, and the gRPC port.
SERVER_ADDRESS = re.compile(r"(dns:///)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
DEVICE_ID = re.compile(DEVICE_ID_PATTERN)


class ConfigError(UsageError):
    """A configuration that cannot be used; the text says where, what was found and what would be valid."""


class Section(Frozen, validate_default=True, use_attribute_docstrings=True):
    """One table of the file: frozen, and an unknown key is an error."""


def _default_device_id() -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:63]
    return name if DEVICE_ID.fullmatch(name) else "device-1"


def _default_state_dir() -> Path:
    if os.geteuid() == 0:
        return SYSTEM_STATE
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        # A user without a home: examinations must outlive the folder for temporary files.
        return SYSTEM_STATE
    return state / "melanosizer-edge"


def _check_pair(section: str, certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise ValueError(
            f"{section}.certificate_file and {section}.key_file belong together: set both or neither"
        )


class DeviceSection(Section):
    """Who this device is and where it keeps its things."""

    id: str = Field(default_factory=_default_device_id)
    """Name in the fleet and in every record: 2 to 63 of a-z, 0-9 and '-'. Default: the host name."""
    state_dir: Path = Field(default_factory=_default_state_dir)
    """The only folder written to: queue, images, keys, on-device model. Put it on the data partition."""

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not DEVICE_ID.fullmatch(value):
            raise ValueError("valid: 2 to 63 of a-z, 0-9 and '-', starting with a letter or digit")
        return value


class CameraSection(Section):
    """Which camera, and how large its pictures are."""

    source: str = "picamera2"
    """`picamera2` (ribbon cable), `v4l2:/dev/video0` (USB; `v4l2:/dev/video*` takes the first that works, whatever
    its number after it was plugged in again) or `folder:DIR` (simulator)."""
    width: int = Field(2028, ge=320, le=9152)
    """Capture width in pixels. Twice what is sent is enough; the HQ camera's full size is 4056x3040."""
    height: int = Field(1520, ge=240, le=6944)
    """Capture height in pixels."""
    preview_fps: float = Field(8.0, gt=0, le=30)
    """Preview pictures a second: enough to aim by, little heat."""
    preview_edge: int = Field(448, ge=160, le=1024)
    """Longest edge of a preview picture: what the screen can show."""
    deadline_s: float = Field(10.0, gt=0, le=60)
    """Seconds the camera may take to be opened and to give one picture; then it is opened again, and after three
    times as long without a picture the process ends, to be started again."""

    @field_validator("source")
    @classmethod
    def _source(cls, value: str) -> str:
        kind, _, place = value.partition(":")
        if value == "picamera2" or (kind in ("v4l2", "folder") and place):
            return value
        raise ValueError("valid: picamera2, v4l2:/dev/videoN, folder:DIR")


class PhotographSection(Section):
    """What of a capture is kept and sent."""

    longest_edge: int = Field(1000, ge=224, le=4096)
    """Longest edge kept and sent: four times what the network looks at, a twelfth of the bytes."""
    jpeg_quality: int = Field(92, ge=60, le=100)
    """JPEG quality when a capture is scaled: above 90 artefacts do not move the answer."""


class QualitySection(Section):
    """When a photograph is good enough to be sent; the defaults come from `benchmarks/edge_quality.py`."""

    focus: float = Field(10.0, ge=0)
    """Least variance of the Laplacian (8-bit luminance, 224 px short side)."""
    darkest: float = Field(75.0, ge=0, le=255)
    """Least mean luminance of the field of view."""
    brightest: float = Field(215.0, ge=0, le=255)
    """Greatest mean luminance of the field of view."""
    glare: Share = 0.04
    """Greatest share of blown-out, colourless pixels (reflections)."""
    contrast: float = Field(12.0, ge=0, le=255)
    """Least difference of lesion and skin luminance: below it, no lesion was found."""
    lesion_smallest: Share = 0.006
    """Least share of the picture that is lesion."""
    off_centre: Share = 0.36
    """Greatest distance of the lesion's middle from the picture's, in picture widths."""
    refuse: bool = False
    """true: a bad photograph cannot be sent. false: the nurse may send it after the advice."""

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.darkest >= self.brightest:
            raise ValueError(
                f"quality.darkest ({self.darkest:g}) must be below quality.brightest "
                f"({self.brightest:g}): change one of them"
            )
        return self


class ServerSection(Section):
    """The model servers, and how patiently they are asked."""

    addresses: tuple[str, ...] = Field(("127.0.0.1:8500",), min_length=1)
    """host:port of each model server, asked in this order; `dns:///name:port` spreads over all its addresses."""
    model: str = Field("melanoma", min_length=1)
    """The model's name at the server."""
    version_label: str = ""
    """A version label to ask for, for example `stable`; empty: the newest."""
    deadline_s: float = Field(5.0, gt=0, le=120)
    """Seconds one question may take before the next try."""
    attempts: int = Field(3, ge=1, le=10)
    """Rounds over all servers before the examination waits in the queue."""
    backoff_s: float = Field(0.2, gt=0, le=30)
    """First pause between rounds; doubles each round, with jitter so that a fleet does not knock in step."""
    longest_pause_s: float = Field(4.0, gt=0, le=3600)
    """Longest pause between tries while no server answers: how late a returning server is noticed."""
    keepalive_s: float = Field(330.0, ge=10, le=7200)
    """Seconds between pings on an idle connection; servers hang up on more than one in five minutes."""
    ca_file: Path | None = None
    """PEM of the authority that signed the servers; set it to use TLS."""
    certificate_file: Path | None = None
    """This device's certificate (PEM) for mutual TLS."""
    key_file: Path | None = None
    """The private key of that certificate (PEM)."""
    tls_name: str = ""
    """Name expected in the server's certificate when it is not the address's host."""

    @field_validator("addresses")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if not SERVER_ADDRESS.fullmatch(address) or not 0 < int(address.rpartition(":")[2]) < 65536:
                scheme, found, rest = address.partition("://")
                hint = f"; leave {scheme}:// out: {rest}" if found and scheme != "dns" else ""
                raise ValueError(
                    f"{address!r} is not a server address; valid: HOST:PORT or dns:///HOST:PORT, port 1 to "
                    f"65535{hint}"
                )
        return value

    @model_validator(mode="after")
    def _tls(self) -> Self:
        _check_pair("server", self.certificate_file, self.key_file)
        if self.certificate_file is not None and self.ca_file is None:
            raise ValueError(
                "server.certificate_file needs server.ca_file: set the authority that signed the servers"
            )
        return self


class StorageSection(Section):
    """How long and how much is kept on the card."""

    key_file: Path | None = None
    """File with the 32-byte encryption key (mode 600). Default: `storage.key` in the state folder."""
    budget_mb: int = Field(4096, ge=1)
    """Most megabytes for images. Sent ones go first, oldest first; unsent ones are never deleted."""
    min_free_mb: int = Field(200, ge=0)
    """Megabytes that stay free on the partition; below it new photographs are refused."""
    retention_days: float = Field(30.0, ge=0)
    """Days a sent examination stays on the device; 0 removes it with the next sweep."""


class KioskSection(Section):
    """The page on the touch screen."""

    host: str = "127.0.0.1"
    """Address the page listens on: only the device itself by default."""
    port: int = Field(8080, ge=0, le=65535)
    """Port of the page; 0 takes a free one."""
    language: Literal["en", "de"] = "en"
    """Language until the nurse chooses another: en or de."""
    guide: bool = True
    """Draw a circle over the preview to centre the lesion in."""
    wait_s: float = Field(2.5, ge=0, le=30)
    """Seconds the result page waits for an answer before it shows `waiting`."""
    code_pattern: str = "[A-Z0-9-]{0,24}"
    """Regular expression a patient code must match: pseudonyms only, never a name."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    """Host names the page answers to: refuses DNS rebinding."""

    @field_validator("code_pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value


class GatewaySection(Section):
    """The fleet's gateway: heartbeats and results."""

    url: str = ""
    """Address of the dashboard's gateway, https://HOST[:PORT]; empty: no fleet."""
    token_file: Path | None = None
    """File with the device's token. Default: `gateway.token` in the state folder, written by `enroll`."""
    ca_file: Path | None = None
    """PEM of the authority that signed the gateway; default: the system's."""
    certificate_file: Path | None = None
    """Client certificate (PEM) for a gateway that asks for mutual TLS."""
    key_file: Path | None = None
    """The private key of that certificate (PEM)."""
    heartbeat_s: float = Field(60.0, ge=1, le=86400)
    """Seconds between heartbeats."""
    timeout_s: float = Field(10.0, gt=0, le=120)
    """Seconds one request to the gateway may take."""

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme == "https" or (
            parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
        ):
            return value.rstrip("/")
        raise ValueError(
            "valid: https://HOST[:PORT], or http:// on 127.0.0.1 (a token must not cross a "
            "network in the clear)"
        )

    @model_validator(mode="after")
    def _tls(self) -> Self:
        _check_pair("gateway", self.certificate_file, self.key_file)
        return self


class FallbackSection(Section):
    """A preliminary answer from the device itself while no server answers."""

    enabled: bool = False
    """Answer on the device while no server does (needs ai-edge-litert)."""
    source: str = ""
    """Where newer models are found: folder, or https:// address, of a `litert.json`; empty: never updated."""
    after_s: float = Field(3.0, ge=0)
    """Seconds without a server's answer before the device answers itself."""
    check_s: float = Field(3600.0, ge=10)
    """Seconds between looks for a newer model."""
    threads: int = Field(2, ge=1, le=8)
    """Processor threads of the on-device model: two leave the screen smooth."""


class PinsSection(Section):
    """Buttons and lights on the GPIO header, by BCM number; 0 is none."""

    shutter: int = Field(0, ge=0, le=27)
    """Pin of a push button to ground that takes a photograph."""
    led: int = Field(0, ge=0, le=27)
    """Pin of the status light: on is ready, blinking is waiting, off is trouble."""
    factory: Literal["auto", "mock"] = "auto"
    """`auto` finds the board's pins; `mock` is for tests."""


class Config(Section):
    """The whole file."""

    device: DeviceSection = DeviceSection()
    camera: CameraSection = CameraSection()
    photograph: PhotographSection = PhotographSection()
    quality: QualitySection = QualitySection()
    server: ServerSection = ServerSection()
    storage: StorageSection = StorageSection()
    kiosk: KioskSection = KioskSection()
    gateway: GatewaySection = GatewaySection()
    fallback: FallbackSection = FallbackSection()
    pins: PinsSection = PinsSection()

    @property
    def storage_key_file(self) -> Path:
        """Where the encryption key lies."""
        return self.storage.key_file or self.device.state_dir / "storage.key"

    @property
    def gateway_token_file(self) -> Path:
        """Where the gateway's token lies."""
        return self.gateway.token_file or self.device.state_dir / "gateway.token"


def load(path: Path | None, overrides: dict[str, dict[str, Any]] | None = None) -> Config:
    """Return the configuration of the TOML file at `path` (none: the defaults) with `overrides` by section and key.

    Raises ConfigError naming every wrong key or value at once, with what would be valid.
    """
    found: dict[str, Any] = {}
    if path is not None:
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file; docs/edge.md has one to start from") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: no valid TOML: {error}") from None
    for section, values in (overrides or {}).items():
        table = found.setdefault(section, {})
        if isinstance(table, dict):
            table.update(values)
    try:
        return Config.model_validate(found)
    except ValidationError as error:
        raise ConfigError("\n  ".join([f"{path or 'configuration'}:", *explain(error, Config)])) from None
