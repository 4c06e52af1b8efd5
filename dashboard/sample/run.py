"""A run with everything that it leaves in a workspace, and one under way."""

from __future__ import annotations

import fcntl
import json
import random
from pathlib import Path
from typing import Any

from core.workspace import MARKER, Workspace
from dashboard import clock
from dashboard.sample import outputs as outputs_of
from dashboard.sample.release import release
from dashboard.sample.size import PRESETS, THRESHOLD, Size
from dashboard.sample.store import STEPS, Store


def write(
    made: Workspace,
    store: Store,
    chance: random.Random,
    size: Size,
    number: int,
    started: int,
    state: str,
    data: Path,
    data_version: str,
    served: list[str],
) -> None:
    """Write one run that ended as `state`; a pushed one joins `served`."""
    run_id = clock.stamp(started)[:19].replace("-", "").replace(":", "").replace("T", "-")
    folder = made.run(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    preset = PRESETS[number % len(PRESETS)]
    config = _config(chance, preset)
    quality = 0.78 + 0.14 * number / max(1, size.runs) + chance.uniform(-0.03, 0.03)
    stop = {"failed": 8, "refused": 9}.get(state, len(STEPS))
    steps, outputs = store.run(made.root, run_id, started, stop, failed=state == "failed")
    names = [f"SAMPLE_{data.name[4:]}_test_{i:05d}" for i in range(round(size.images * 0.3))]
    metrics = None
    if state != "failed":
        metrics = outputs_of.evaluate(outputs, names, quality, size.seed + number)
        outputs_of.train(outputs, chance, quality, size.seed + number)
    outputs_of.describe(outputs, size)
    version = str(started // 1000)
    verdicts = _verdicts(metrics, state)
    reason = {
        "failed": "ResourceExhaustedError: the trainer ran out of memory at batch 412",
        "refused": f"auc is {metrics['auc'] if metrics else 0:.3f}, must be >= 0.95",
    }.get(state, "")
    document = {
        "run_id": run_id,
        "status": state,
        "reason": reason,
        "preset": preset,
        "data": str(data),
        "data_version": data_version,
        "started": clock.stamp(started),
        "seconds": round(sum(step["seconds"] for step in steps), 1),
        "version": version if state == "pushed" else served[-1] if state == "unchanged" else None,
        "model": None,
        "metrics": metrics,
        "threshold": THRESHOLD if metrics else None,
        "verdicts": verdicts,
        "steps": steps,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "run.log").write_text(
        "".join(
            f"{clock.stamp(started)[:19].replace('T', ' ')},000 INFO    absl: Component {step['name']} is finished.\n"
            for step in steps
        )
        + (
            f"{clock.stamp(started)[:19].replace('T', ' ')},000 ERROR   pipeline.run: the run failed\n"
            if state == "failed"
            else ""
        )
    )
    (folder / "report.html").write_text(f"<!doctype html><title>{run_id}</title><style>body{{font:16px sans-serif}}</style><h1>Report of {run_id}</h1>")  # fmt: skip
    (folder / "run.json").write_text(json.dumps(document, indent=2))
    if state == "pushed" and metrics is not None:
        release(made, version, run_id, preset, started, data_version, metrics, verdicts, config, served)


def _config(chance: random.Random, preset: str) -> dict[str, Any]:
    return {
        "about": {
            "purpose": f"the {preset} preset of the example",
            "command": f"melanosizer run --preset {preset}",
        },
        "model_name": "melanoma",
        "trainer": {
            "backbone": "efficientnet_lite0",
            "batch_size": chance.choice((16, 32)),
            "optimiser": {"name": "adamw", "head_learning_rate": chance.choice((0.002, 0.001))},
            "stages": [{"size": 128, "epochs": 6}],
        },
        "evaluator": {"min_auc": 0.7},
    }


def _verdicts(metrics: dict[str, Any] | None, state: str) -> list[dict[str, Any]]:
    def check(
        metric: str, value: float, comparison: str, limit: float, where: str = "overall"
    ) -> dict[str, Any]:
        passed = value >= limit if comparison == ">=" else value <= limit
        return {
            "metric": metric, "slice": where, "value": value, "comparison": comparison, "limit": limit,
            "passed": passed, "detail": "",
        }  # fmt: skip

    verdicts = [
        {
            "gate": "data",
            "checks": [
                check("positives", 33, ">=", 20, "split:train"),
                check("groups_in_two_splits", 0, "<=", 0),
            ],
        }
    ]
    if metrics is not None:
        least = 0.95 if state == "refused" else 0.5
        verdicts.append({"gate": "model", "checks": [check("auc", metrics["auc"], ">=", least)]})
    if state in ("pushed", "unchanged"):
        verdicts.append({"gate": "serving", "checks": [check("max_difference", 2e-7, "<=", 1e-4)]})
    return verdicts


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
