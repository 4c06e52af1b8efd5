"""A workspace: data sets, runs with everything they leave, and the versions that were released."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.records.evaluation import SliceMetrics
from core.records.verdict import Verdict, at_least, at_most
from core.records.version import Channels, Event, Parents, VersionRecord
from core.registry import model_server_config
from core.workspace import MARKER, Workspace
from dashboard import clock
from dashboard.sample import outputs as outputs_of
from dashboard.sample.data_set import LOW_BELOW, THRESHOLD, Size, data_set
from dashboard.sample.store import COMPLETE, FAILED, STEPS, Store

MODEL = "melanoma"
PRESETS = ("quick", "full", "smoke")
# How many steps of a run that ended so were begun.
STOPS = {"failed": 8, "refused": 9}


def workspace(root: Path, size: Size, *, now: int | None = None) -> Workspace:
    """Write a workspace: runs, metadata, registry, served versions, one data set for sixty runs."""
    example = Example(root, size, now if now is not None else clock.now())
    for number in range(size.runs):
        example.run(number)
    example.store.close()
    return example.made


class Example:
    """A workspace that is being written."""

    def __init__(self, root: Path, size: Size, moment: int) -> None:
        self.made = Workspace(root)
        root.mkdir(parents=True, exist_ok=True)
        (root / MARKER).touch()
        self.store = Store(self.made.metadata)
        self._size, self._moment = size, moment
        self._chance = random.Random(size.seed)  # noqa: S311 - an example, no secret
        self._data = [data_set(root / "data" / f"set-{i}", size, i) for i in range(1 + size.runs // 60)]
        self._served: list[str] = []

    def run(self, number: int) -> None:
        """Write one run; every third is released."""
        size, chance = self._size, self._chance
        started = self._moment - (size.runs - number) * 7 * clock.HOUR
        data, data_version = self._data[min(len(self._data) - 1, number * len(self._data) // size.runs)]
        released = number % 3 == 0 or number == size.runs - 1
        state = "pushed" if released else chance.choice(("refused", "unchanged", "failed"))
        if state == "unchanged" and not self._served:
            state = "refused"
        run_id = clock.stamp(started)[:19].replace("-", "").replace(":", "").replace("T", "-")
        folder = self.made.run(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        preset = PRESETS[number % len(PRESETS)]
        config = _config(chance, preset)
        quality = 0.78 + 0.14 * number / max(1, size.runs) + chance.uniform(-0.03, 0.03)
        stop, last = STOPS.get(state, len(STEPS)), FAILED if state == "failed" else COMPLETE
        steps, outputs = self.store.run(self.made.root, run_id, started, stop, last)
        metrics = None
        if state != "failed":
            names = [f"SAMPLE_{data.name[4:]}_test_{i:05d}" for i in range(round(size.images * 0.3))]
            metrics = outputs_of.evaluate(outputs, names, quality, size.seed + number)
            outputs_of.train(outputs, chance, quality, size.seed + number)
        outputs_of.describe(outputs, size)
        verdicts = _verdicts(metrics, state)
        version = str(started // 1000)
        document = {
            "run_id": run_id,
            "status": state,
            "reason": _reason(metrics, state),
            "preset": preset,
            "data": str(data),
            "data_version": data_version,
            "started": clock.stamp(started),
            "seconds": round(sum(step["seconds"] for step in steps), 1),
            "version": {"pushed": version, "unchanged": self._served[-1] if self._served else None}.get(
                state
            ),
            "model": None,
            "metrics": metrics.model_dump() if metrics else None,
            "threshold": THRESHOLD if metrics else None,
            "verdicts": [verdict.model_dump() for verdict in verdicts],
            "steps": steps,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        at = clock.stamp(started)[:19].replace("T", " ")
        log = [f"{at},000 INFO    absl: Component {step['name']} is finished.\n" for step in steps]
        if state == "failed":
            log.append(f"{at},000 ERROR   pipeline.run: the run failed\n")
        (folder / "run.log").write_text("".join(log))
        style = "<style>body{font:16px sans-serif}</style>"
        report = f"<!doctype html><title>{run_id}</title>{style}<h1>Report of {run_id}</h1>"
        (folder / "report.html").write_text(report)
        (folder / "run.json").write_text(json.dumps(document, indent=2))
        if state == "pushed" and metrics is not None:
            seal = hashlib.sha256(version.encode()).hexdigest()
            self._release(
                VersionRecord(
                    model_name=MODEL,
                    version=version,
                    created=clock.local(started + 30 * clock.MINUTE, clock.GREENWICH),
                    run_id=run_id,
                    preset=preset,
                    software="0.1.0",
                    config=config,
                    label_counts={"train": {"negatives": 130, "positives": 17}},
                    metrics=metrics.recorded(THRESHOLD),
                    slices=(),
                    verdicts=verdicts,
                    sha256=seal,
                    fingerprint=seal,
                    parents=Parents(
                        data_version=data_version, baseline_version=self._served[-1] if self._served else None
                    ),
                    model={
                        "model_version": version,
                        "threshold": THRESHOLD,
                        "zones": {"low_below": LOW_BELOW, "refer_from": THRESHOLD},
                        "parameters": 3_413_024,
                    },
                )
            )

    def _release(self, record: VersionRecord) -> None:
        """Write what the registry writes, as of then: the registry itself would date the event today."""
        made, version = self.made, record.version
        records, served = made.records(MODEL), made.served(MODEL)
        for folder in (records, served / version):
            folder.mkdir(parents=True, exist_ok=True)
        (served / version / "saved_model.pb").write_bytes(b"an example, no model")
        (records / f"{version}.json").write_text(record.model_dump_json(indent=2) + "\n")
        event = Event(
            time=record.created + timedelta(minutes=1),
            action="pushed",
            version=version,
            previous=record.parents.baseline_version,
            who=f"run {record.run_id}",
            why=f"every gate let it through (AUC {record.metrics['auc']:.3f})",
        )
        with made.events.open("a") as stream:
            stream.write(event.model_dump_json() + "\n")
        (records / "channels.json").write_text(Channels(stable=version).model_dump_json() + "\n")
        model = model_server_config.ServedModel(MODEL, str(served.resolve()), (version,), {"stable": version})
        made.server_config.write_text(model_server_config.render(model))
        self._served.append(version)


def _config(chance: random.Random, preset: str) -> dict[str, Any]:
    return {
        "about": {
            "purpose": f"the {preset} preset of the example",
            "command": f"melanosizer run --preset {preset}",
        },
        "model_name": MODEL,
        "trainer": {
            "backbone": "efficientnet_lite0",
            "batch_size": chance.choice((16, 32)),
            "optimiser": {"name": "adamw", "head_learning_rate": chance.choice((0.002, 0.001))},
            "stages": [{"size": 128, "epochs": 6}],
        },
        "evaluator": {"min_auc": 0.7},
    }


def _reason(metrics: SliceMetrics | None, state: str) -> str:
    if state == "failed":
        return "ResourceExhaustedError: the trainer ran out of memory at batch 412"
    return f"auc is {metrics.auc:.3f}, must be >= 0.95" if metrics and state == "refused" else ""


def _verdicts(metrics: SliceMetrics | None, state: str) -> tuple[Verdict, ...]:
    data = at_least("positives", 33, 20, "split:train"), at_most("groups_in_two_splits", 0, 0)
    verdicts = [Verdict(gate="data", checks=data)]
    if metrics is not None:
        least = 0.95 if state == "refused" else 0.5
        verdicts.append(Verdict(gate="model", checks=(at_least("auc", metrics.auc, least),)))
    if state in ("pushed", "unchanged"):
        verdicts.append(Verdict(gate="serving", checks=(at_most("max_difference", 2e-7, 1e-4),)))
    return tuple(verdicts)
