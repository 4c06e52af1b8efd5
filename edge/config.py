"""The device's configuration: one TOML file."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from edge.sections import (
    CameraSection,
    DeviceSection,
    FallbackSection,
    GatewaySection,
    KioskSection,
    PhotographSection,
    PinsSection,
    QualitySection,
    Section,
    ServerSection,
    StorageSection,
)


class ConfigError(Exception):
    """A configuration that cannot be used; the text says where, what was found and what would be valid."""


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
    """The configuration of the TOML file at `path` (none: the defaults) with `overrides` by section and key.

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
        lines = [_explain(part) for part in error.errors()]
        raise ConfigError(f"{path or 'configuration'}:\n  " + "\n  ".join(lines)) from None


def _explain(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    if error["type"] != "extra_forbidden":
        message = str(error["msg"]).removeprefix("Value error, ")
        return f"{'.'.join(place) or 'file'} = {error['input']!r}: {message}" if len(place) > 1 else message
    section: type[BaseModel] = Config
    for part in place[:-1]:
        kind = section.model_fields[part].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            section = kind
    valid = sorted(section.model_fields)
    close = difflib.get_close_matches(place[-1], valid, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{'.'.join(place)}: unknown key; valid: {', '.join(valid)}.{hint}"
