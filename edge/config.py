"""The device's configuration: one TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.settings import explain
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
