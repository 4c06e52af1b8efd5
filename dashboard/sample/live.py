"""A run under way."""

from __future__ import annotations

import fcntl
import json

from core.workspace import MARKER, Workspace
from dashboard import clock
from dashboard.sample.store import Store


class LiveRun:
    """A run under way, step by step: what a page that is open should notice."""

    def __init__(self, made: Workspace, run_id: str, started: int) -> None:
        self._made, self._run_id, self._started = made, run_id, started
        folder = made.run(run_id)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        self._log = folder / "run.log"
        self._log.touch()
        self._held = (made.root / MARKER).open("a")
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def step(self, name: str) -> None:
        """Say in the log that a step began."""
        with self._log.open("a") as stream:
            stream.write(f"INFO    absl: Component {name} is running.\n")

    def until(self, stop: int) -> None:
        """Write the first steps, the last of them still running."""
        store = Store(self._made.metadata)
        store.run(self._made.root, self._run_id, self._started, stop, running=True)
        store.close()

    def finish(self, state: str = "refused") -> None:
        """Write run.json."""
        document = {
            "run_id": self._run_id, "status": state, "reason": "auc is 0.612, must be >= 0.7", "preset": "quick",
            "data": "", "data_version": "", "started": clock.stamp(self._started), "seconds": 61.0, "version": None,
            "model": None, "metrics": None, "threshold": None, "verdicts": [], "steps": [],
        }  # fmt: skip
        partial = self._made.run(self._run_id) / "run.json.partial"
        partial.write_text(json.dumps(document))
        partial.replace(partial.with_suffix(""))
        self._held.close()
