"""A model server as a state machine: which files it takes, what it loads, and what its labels stand for.

The rules are those of TensorFlow Serving 2.19.1, started with ``--allow_version_labels_for_unavailable_models``:

- ``ServerCore::ReloadConfig`` (model_servers/server_core.cc) looks at the labels first, `UpdateModelVersionLabelMap`,
  and only then hands the versions to the source. A refusal leaves labels and versions as they were.
- ``UpdateModelVersionLabelMap``: a label that the server holds with another version may only go to one that is
  AVAILABLE; a label that it does not hold, or holds with the same version, may wait for it. One label that may not
  refuses the whole file. Labels that the file does not name are gone.
- ``PollFilesystemAndReloadConfig`` (model_servers/server.cc) reads the file at each poll, also one that was refused.
- ``AvailabilityPreservingPolicy`` (core/availability_preserving_policy.cc): a version that is not wanted any more is
  unloaded when a wanted one is AVAILABLE.
- At the start there are no labels, so every file is taken; the server listens when a version is AVAILABLE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.registry.model_server_config import DamagedConfigError, read


@dataclass
class LabelledServer:
    """One server of one model."""

    config: Path
    model: str
    labels: dict[str, str] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    available: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    started: bool = False

    def start(self) -> None:
        """Start the process, or start it again: it forgets everything."""
        self.labels, self.wanted, self.available, self.started = {}, (), set(), True
        self.poll()

    def poll(self) -> bool:
        """Read the file as it is; return whether it was taken."""
        if not self.started:
            return False
        try:
            models = read(self.config.read_text())
        except (OSError, DamagedConfigError) as error:
            self.refusals.append(f"unreadable: {error}")
            return False
        for model in (one for one in models if one.name == self.model):
            for label, version in model.labels.items():
                moves = label in self.labels and self.labels[label] != version
                if moves and version not in self.available:
                    self.refusals.append(
                        f"Request to assign label to version {version} of model {self.model}, which is not currently "
                        "available for inference"
                    )
                    return False
            self.labels, self.wanted = dict(model.labels), model.versions
        self._unload()
        return True

    def load(self, count: int = 99) -> None:
        """Load up to so many of the versions that are wanted and not AVAILABLE."""
        for version in [one for one in self.wanted if one not in self.available | self.failing][:count]:
            if (self.config.parent / self.model / version / "saved_model.pb").exists():
                self.available.add(version)
        self._unload()

    def _unload(self) -> None:
        if self.available & set(self.wanted):
            self.available &= set(self.wanted)

    @property
    def listening(self) -> bool:
        """Whether it answers: a version is AVAILABLE."""
        return self.started and bool(self.available)

    def answers(self, label: str) -> str | None:
        """Return the version that answers for a label; None: NOT_FOUND or INVALID_ARGUMENT."""
        version = self.labels.get(label)
        return version if version in self.available else None

    def status(self) -> dict[str, tuple[str, str]]:
        """Return what GetModelStatus says."""
        if not self.started:
            raise OSError("connection refused")
        states = dict.fromkeys(self.wanted, ("LOADING", ""))
        states |= dict.fromkeys(self.failing & set(self.wanted), ("END", "cannot be loaded"))
        return states | dict.fromkeys(self.available, ("AVAILABLE", ""))
