"""Version folders on disk: which there are, which a policy wants, and a thread that keeps looking.

Follows tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.worker import Worker

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\s*-?\d+\s*\Z")
_INT64 = range(-(2**63), 2**63)

OnVersions = Callable[[str, Mapping[int, Path]], None]


def parse_version(name: str) -> int | None:
    """The folder name as int64, or None if it is not a version (strings::safe_strto64)."""
    if not name.isascii() or not _NUMBER.match(name):
        return None
    number = int(name)
    return number if number in _INT64 else None


def find_versions(base: Path) -> dict[int, Path]:
    """Every child whose name is an int64.

    Raises:
        OSError: where the base path cannot be read.
    """
    found: dict[int, Path] = {}
    for child in sorted(base.iterdir()):
        version = parse_version(child.name)
        if version is None:
            continue
        if version in found:
            log.warning(
                "Duplicate version directories detected. Version %d will be loaded from %s", version, child
            )
        found[version] = child
    return found


def choose_versions(name: str, found: Mapping[int, Path], policy: Any) -> dict[int, Path]:
    """What a ServableVersionPolicy wants of what is there; latest 1 where none is set."""
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return dict(found)
    if choice == "specific":
        wanted = set(policy.specific.versions)
        for version in sorted(wanted - set(found)):
            log.warning(
                "Version %d of servable %s, which was requested to be served as a 'specific' version in the "
                "servable's version policy, was not found in the file system",
                version,
                name,
            )
        return {version: folder for version, folder in found.items() if version in wanted}
    count = max(1, policy.latest.num_versions)
    return {version: found[version] for version in sorted(found, reverse=True)[:count]}


class Watcher:
    """Looks at every model's base path and reports the wanted versions to `on_versions`."""

    def __init__(self, on_versions: OnVersions, poll_seconds: float) -> None:
        """`poll_seconds` above 0 polls; 0 looks once at each new configuration; below 0 never looks."""
        self._on_versions = on_versions
        self._poll_seconds = poll_seconds
        self._configs: list[Any] = []
        self._lock = threading.Lock()
        self._complained: dict[str, str] = {}
        self._worker = Worker("file-system-poll", poll_seconds, self.look)

    def watch(self, configs: list[Any]) -> None:
        """Watch these ModelConfigs from now on; models that are gone from the list are unloaded."""
        with self._lock:
            gone = {c.name for c in self._configs} - {c.name for c in configs}
            self._configs = list(configs)
        for name in gone:
            self._on_versions(name, {})
        if self._poll_seconds < 0:
            return
        if self._poll_seconds == 0:
            self.look()
            return
        if self._worker.alive:
            self._worker.wake()
        elif not self._worker.stopping:
            self._worker.start()

    def look(self) -> None:
        """Look once."""
        with self._lock:
            for config in self._configs:
                self._look_at(config)

    def _look_at(self, config: Any) -> None:
        try:
            found = find_versions(Path(config.base_path))
        except OSError as error:
            # A base path that is away for a moment must not unload what it held.
            self._complain(
                config.name,
                f"Could not find base path {config.base_path} for servable {config.name} with error {error}",
            )
            return
        chosen = choose_versions(config.name, found, config.model_version_policy)
        if chosen:
            self._complained.pop(config.name, None)
        else:
            self._complain(
                config.name,
                f"No versions of servable {config.name} found under base path {config.base_path}. Did you forget "
                "to name your leaf directory as a number (eg. '/1/')?",
            )
        self._on_versions(config.name, chosen)

    def _complain(self, name: str, text: str) -> None:
        if self._complained.get(name) != text:
            self._complained[name] = text
            log.warning("%s", text)

    def close(self) -> None:
        """Stop looking."""
        self._worker.stop()
