"""A workspace: data sets, runs with everything they leave, and the versions that were released."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from core.measures.auc import auc
from core.measures.rates import Interval, confusion
from core.protos import data_statistics_pb2 as protos
from core.records.evaluation import EXTERNAL_FILE, EXTERNALS, External, SliceMetrics
from core.records.verdict import Verdict, at_least, at_most
from core.records.version import RUN, Channels, Event, Parents, VersionRecord
from core.registry import model_server_config
from core.workspace import MARKER, Workspace
from dashboard import clock
from dashboard.sample.data_set import LOW_BELOW, SITES, THRESHOLD, Size, data_set
from dashboard.sample.store import COMPLETE, FAILED, STEPS, Store

MODEL = "melanoma"
PRESETS = ("quick", "full", "smoke")
# How many steps of a run that ended so were begun.
STOPS = {"failed": 8, "refused": 9}


def workspace(root: Path, size: Size) -> Workspace:
    """Write a workspace: runs, metadata, registry, served versions, one data set for sixty runs."""
    example = Example(root, size)
    for number in range(size.runs):
        example.run(number)
    example.store.close()
    return example.made


class Example:
    """A workspace that is being written."""

    def __init__(self, root: Path, size: Size) -> None:
        self.made = Workspace(root)
        root.mkdir(parents=True, exist_ok=True)
        (root / MARKER).touch()
        self.store = Store(self.made.metadata)
        self._size, self._moment = size, clock.now()
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
            metrics = evaluate(outputs, names, quality, size.seed + number)
            train(outputs, chance, quality, size.seed + number)
        describe(outputs, size)
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
            who=f"{RUN}{record.run_id}",
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


COLUMNS = (
    "image_name", "source", "target", "probability", "threshold", "out_of_distribution", "diagnosis", "sex", "age_band",
    "anatom_site", "model_version",
)  # fmt: skip


def _about(value: float, half: float = 0.04) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


# Another clinic's pictures, on which the model is worse and says too much.
ELSEWHERE = External(
    name="clinic-north", data_version="c" * 64, images=120, melanomas=24, copies=2,
    auc=_about(0.71, 0.11), drop=_about(-0.14, 0.12), drop_p=0.02, sensitivity=_about(0.58, 0.19),
    specificity=_about(0.61), ece=_about(0.13), brier=_about(0.19), intercept=_about(-0.6, 0.5),
    slope=_about(0.54, 0.3), refused=Interval(value=0, low=0, high=0.03),
)  # fmt: skip


def evaluate(outputs: dict[str, Path], names: list[str], quality: float, seed: int) -> SliceMetrics:
    """Write the Evaluator's predictions; returns the metrics on all of them."""
    chance = np.random.default_rng(seed)
    labels = np.array([int(i % 9 == 0) for i in range(len(names))])
    gap = 2.2 * (quality - 0.5) / 0.4
    scores = 1 / (1 + np.exp(-(chance.normal(-3.0, 1.1, len(names)) + labels * gap)))
    outputs["evaluation"].mkdir(parents=True, exist_ok=True)
    with (outputs["evaluation"] / "predictions.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(COLUMNS)
        for i, name in enumerate(names):
            source = "clinic-a" if i % 4 else "clinic-b"
            diagnosis = "melanoma" if labels[i] else "nevus"
            about = diagnosis, ("female", "male")[i % 2], "45-59", SITES[i % len(SITES)]
            rows.writerow([name, source, labels[i], scores[i], THRESHOLD, 0.0, *about, "1"])
    (outputs["evaluation"] / EXTERNAL_FILE).write_bytes(EXTERNALS.dump_json((ELSEWHERE,)))
    counts = confusion(labels, scores, THRESHOLD).counts
    return SliceMetrics(slice="overall", auc=auc(labels, scores), auc_precision_recall=0.5, **counts)


def train(outputs: dict[str, Path], chance: random.Random, quality: float, seed: int) -> None:
    """Write the Trainer's curves and its answers on eval."""
    outputs["model_run"].mkdir(parents=True, exist_ok=True)
    epochs = [
        {
            "stage": 0,
            "size": 128,
            "epoch": i + 1,
            "loss": 0.7 * 0.82**i + chance.uniform(0, 0.02),
            "eval_auc": quality - 0.18 * 0.6**i + chance.uniform(-0.004, 0.004),
            "eval_log_loss": 0.6 * 0.88**i + 0.12,
            "seconds": 41.0,
        }
        for i in range(8)
    ]
    (outputs["model_run"] / "history.json").write_text(json.dumps({"epochs": epochs}))
    drawn = np.random.default_rng(seed + 1).beta(0.55, 6.5, 400)
    with (outputs["model_run"] / "eval_predictions.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["image_name", "target", "probability"])
        rows.writerows([[f"EVAL_{i}", int(i % 9 == 0), f"{value:.6f}"] for i, value in enumerate(drawn)])


def describe(outputs: dict[str, Path], size: Size) -> None:
    """Write the statistics and what was found odd in them."""
    for split in ("train", "eval"):
        folder = outputs["statistics"] / f"Split-{split}"
        folder.mkdir(parents=True, exist_ok=True)
        message = protos.DatasetFeatureStatisticsList()
        data = message.datasets.add(name=split, num_examples=size.images)
        age = data.features.add(type=protos.FeatureNameStatistics.FLOAT)
        age.path.step.append("age_approx")
        age.num_stats.common_stats.num_non_missing = size.images
        age.num_stats.MergeFrom(protos.NumericStatistics(mean=51, min=20, median=50, max=84))
        histogram = age.num_stats.histograms.add()
        for i in range(10):
            histogram.buckets.add(
                low_value=20 + 6.4 * i, high_value=26.4 + 6.4 * i, sample_count=10 + (i * 13) % 29
            )
        sex = data.features.add(type=protos.FeatureNameStatistics.STRING)
        sex.path.step.append("sex")
        sex.string_stats.common_stats.num_non_missing = size.images
        sex.string_stats.unique = 2
        for value in ("female", "male"):
            sex.string_stats.top_values.add(value=value, frequency=size.images / 2)
        (folder / "FeatureStats.pb").write_bytes(message.SerializeToString())
        found = outputs["anomalies"] / f"Split-{split}"
        found.mkdir(parents=True, exist_ok=True)
        anomalies = protos.Anomalies()
        if split == "eval":
            info = anomalies.anomaly_info["diagnosis"]
            info.short_description = "Unexpected string values"
            info.description = "Examples contain values missing from the schema: 'lentigo' (~1%)."
            info.severity = protos.AnomalyInfo.WARNING
        (found / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
