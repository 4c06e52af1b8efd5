"""An example workspace and database of any size, the same for the same seed: for tests, benchmarks and a look round.

    python -m dashboard.sample FOLDER --runs 200 --predictions 100000 --devices 500

The numbers in it are drawn, not measured; the files have the form that pipeline, registry and server write.
"""

from __future__ import annotations

import csv
import fcntl
import gzip
import hashlib
import io
import json
import random
import sqlite3
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFilter

from dashboard import clock
from dashboard.database.connection import Database
from dashboard.database.tables import Device, Heartbeat, Prediction, Review
from dashboard.field.answer import Answer
from dashboard.field.recorder import Recorder
from dashboard.protos import data_statistics_pb2, example_pb2
from dashboard.readers.registry import RegistryFiles
from dashboard.readers.workspace import MARKER, Workspace
from dashboard.releases import server_config

STEPS = (
    ("ImportExampleGen", "ImportExampleGen", (), (("examples", "Examples"),)),
    ("ImportSchemaGen", "ImportSchemaGen", (), (("schema", "Schema"),)),
    ("StatisticsGen", "StatisticsGen", ("examples", "schema"), (("statistics", "ExampleStatistics"),)),
    ("ExampleValidator", "ExampleValidator", ("statistics", "schema"), (("anomalies", "ExampleAnomalies"),)),
    ("class-balance", "ClassBalance", ("statistics", "examples"), (("balance", "ExampleAnomalies"),)),
    ("data-gate", "DataGate", ("balance", "anomalies"), (("accepted", "HyperParameters"),)),
    ("Transform", "Transform", ("examples", "schema", "accepted"), (("transform_graph", "TransformGraph"),)),
    ("Trainer", "Trainer", ("examples", "transform_graph", "accepted"), (("model", "Model"), ("model_run", "ModelRun"))),
    ("Evaluator", "Evaluator", ("examples", "model"), (("evaluation", "ModelEvaluation"), ("blessing", "ModelBlessing"))),
    ("serving-check", "ServingCheck", ("model", "examples"), (("infra_blessing", "InfraBlessing"),)),
    ("Pusher", "Pusher", ("model", "blessing", "infra_blessing"), (("pushed_model", "PushedModel"),)),
    ("registry", "RegistryRecord", ("pushed_model", "evaluation"), (("record", "HyperParameters"),)),
)  # fmt: skip
PRESETS = ("quick", "full", "smoke")
SITES = ("back", "abdomen", "lower extremity", "face", "chest")
THRESHOLD, LOW_BELOW = 0.18, 0.03
PREVALENCE = 0.09
WARM = (206.0, 152.0, 132.0)


@dataclass(frozen=True)
class Size:
    """How much there is."""

    runs: int = 6
    images: int = 300
    predictions: int = 400
    devices: int = 12
    seed: int = 7


def workspace(root: Path, size: Size, *, now: int | None = None) -> Workspace:
    """Write a workspace: runs, metadata, registry, served versions, one data set a ten runs."""
    chance = random.Random(size.seed)  # noqa: S311 - an example, no secret
    moment = now if now is not None else clock.now()
    made = Workspace(root, "melanoma")
    root.mkdir(parents=True, exist_ok=True)
    (root / MARKER).touch()
    store = _Store(made.metadata)
    data = [_data_set(root / "data" / f"set-{i}", size, i) for i in range(1 + size.runs // 60)]
    served: list[str] = []
    for number in range(size.runs):
        started = moment - (size.runs - number) * 7 * clock.HOUR
        folder, version = data[min(len(data) - 1, number * len(data) // size.runs)]
        state = (
            "pushed"
            if number % 3 == 0 or number == size.runs - 1
            else chance.choice(("refused", "unchanged", "failed"))
        )
        if state == "unchanged" and not served:
            state = "refused"
        _run(made, store, chance, size, number, started, state, folder, version, served)
    store.close()
    return made


def field(
    database: Database, recorder: Recorder, versions: list[str], size: Size, *, now: int | None = None
) -> None:
    """Fill the database: answers of the last 30 days, outcomes for some of them, a fleet with heartbeats."""
    chance = np.random.default_rng(size.seed)
    moment = now if now is not None else clock.now()
    names = [f"pi-{i:03d}" for i in range(size.devices)]
    for begin in range(0, size.predictions, 2000):
        recorder.write(
            [
                _answer(chance, moment, i, size, versions, names)
                for i in range(begin, min(size.predictions, begin + 2000))
            ]
        )
    with database.write() as session:
        for i, name in enumerate(names):
            silent = i % 17 == 5
            seen = moment - (3 * clock.HOUR if silent else int(chance.integers(0, 15)) * clock.MINUTE)
            device = session.get(Device, name) or Device(
                id=name, first_seen=moment - 30 * clock.DAY, answered=0
            )
            device.last_seen, device.model_version, device.software = seen, versions[-1], "0.1.0"
            device.queue_depth = 0 if i % 5 else int(chance.integers(0, 9))
            device.temperature = round(float(chance.normal(54, 6)), 1)
            device.errors = 1 if i % 11 == 3 else 0
            device.heartbeat = _heartbeat(device, seen)
            session.add(device)
            session.add_all(
                Heartbeat(
                    device_id=name,
                    at=seen - step * 10 * clock.MINUTE,
                    queue_depth=int(chance.integers(0, 4)),
                    temperature=round(float(chance.normal(54, 3)), 1),
                    errors=0,
                )
                for step in range(24)
            )
    _outcomes(database, chance, size)


def _outcomes(database: Database, chance: np.random.Generator, size: Size) -> None:
    from sqlalchemy import select

    with database.write() as session:
        rows = session.scalars(
            select(Prediction).order_by(Prediction.id).limit(max(60, size.predictions // 20))
        ).all()
        for row in rows:
            if row.zone == "low" and chance.random() < 0.6:
                continue
            melanoma = chance.random() < min(0.95, row.probability * 1.1 + 0.004)
            row.outcome = "melanoma" if melanoma else "benign"
            session.add(
                Review(
                    prediction_id=row.id,
                    at=row.at + clock.HOUR,
                    who="dr.reyes",
                    outcome=row.outcome,
                    basis="histology",
                    comment="",
                )
            )


def _answer(
    chance: np.random.Generator, moment: int, i: int, size: Size, versions: list[str], names: list[str]
) -> Answer:
    probability = float(np.clip(chance.beta(0.55, 6.5), 0.0005, 0.995))
    share = i / max(1, size.predictions)
    # The newest days come from a darker camera, so that drift has something to show.
    dim = 14.0 if share > 0.8 else 0.0
    zone = "refer" if probability >= THRESHOLD else "low" if probability < LOW_BELOW else "review"
    return Answer(
        request_id=f"sample-{size.seed}-{i}",
        row=0,
        at=moment - int((1 - share) * 30 * clock.DAY) + int(chance.integers(0, 60_000)),
        origin="gateway",
        version=versions[min(len(versions) - 1, int(share * len(versions)))],
        probability=probability,
        decision=int(probability >= THRESHOLD),
        threshold=THRESHOLD,
        zone=zone,
        device_id=names[int(chance.integers(0, len(names)))] if names else None,
        out_of_distribution=float(chance.random() < 0.01),
        latency_ms=round(float(chance.gamma(5, 6)), 1),
        sha256=hashlib.sha256(f"{size.seed}/{i}".encode()).hexdigest(),
        width=1024,
        height=768,
        bytes=140_000,
        brightness=round(float(chance.normal(158 - dim, 14)), 1),
        contrast=round(float(chance.normal(29, 6)), 1),
        redness=round(float(chance.normal(0.41, 0.015)), 4),
        sharpness=round(float(chance.gamma(6, 0.8)), 2),
    )


def _heartbeat(device: Device, seen: int) -> dict[str, Any]:
    notices = [
        {
            "kind": "server_unreachable",
            "detail": "127.0.0.1:8500: connection refused",
            "since": clock.stamp(seen),
        }
    ]
    return {
        "device_id": device.id,
        "sent_at": clock.stamp(seen),
        "clock_trusted": True,
        "uptime_s": 86_400.0,
        "versions": {"software": device.software, "model": device.model_version, "on_device_model": ""},
        "queue": {"waiting": device.queue_depth},
        "notices": notices if device.errors else [],
        "temperature_c": device.temperature,
        "memory_bytes": 118_000_000,
        "disk": {"free_bytes": 11_000_000_000, "kept_bytes": 340_000_000},
        "camera": "picamera imx477",
    }


def picture(seed: int, *, malignant: bool = False, side: int = 96) -> bytes:
    """A JPEG of something round and brown."""
    chance = random.Random(seed)  # noqa: S311
    image = Image.new("RGB", (side, side), tuple(int(c + chance.uniform(-12, 12)) for c in WARM))
    draw = ImageDraw.Draw(image)
    middle, radius = side / 2, side * chance.uniform(0.18, 0.3)
    for _ in range(7 if malignant else 2):
        dx, dy = (chance.uniform(-1, 1) * side * (0.13 if malignant else 0.02) for _ in range(2))
        brown = tuple(int(c * chance.uniform(0.35, 0.75 if malignant else 0.55)) for c in (180, 118, 84))
        box = (middle + dx - radius, middle + dy - radius, middle + dx + radius, middle + dy + radius)
        draw.ellipse(box, fill=brown)
    target = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(1.2)).save(target, "JPEG", quality=88)
    return target.getvalue()


def _data_set(folder: Path, size: Size, number: int) -> tuple[Path, str]:
    chance = random.Random(size.seed + number)  # noqa: S311
    seal = hashlib.sha256()
    counts: dict[str, int] = {}
    for split, share in (("train", 0.5), ("eval", 0.2), ("test", 0.3)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / split / "data-00000-of-00001.tfrecord.gz", "wb", compresslevel=1) as stream:
            for i in range(round(size.images * share)):
                raw = _example(chance, f"SAMPLE_{number}_{split}_{i:05d}", i)
                seal.update(raw)
                head = struct.pack("<Q", len(raw))
                stream.write(head + b"\0\0\0\0" + raw + b"\0\0\0\0")
                counts[split] = counts.get(split, 0) + 1
    version = seal.hexdigest()
    (folder / "manifest.json").write_text(
        json.dumps({"data_version": version, "created": "2026-11-01", "counts": counts})
    )
    (folder / "quarantine").mkdir(exist_ok=True)
    with (folder / "quarantine.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["source", "row", "image_name", "file", "reason", "detail"])
        for i in range(4):
            path = f"quarantine/copy-{i}.jpg"
            (folder / path).write_bytes(picture(i))
            rows.writerow(
                ["clinic-b", i, f"COPY_{i}", path, "duplicate", f"like SAMPLE_{number}_train_{i:05d}"]
            )
        rows.writerow(["clinic-a", 9, "BROKEN_0", "", "unreadable", "ends within the image data"])
    return folder, version


def _example(chance: random.Random, name: str, i: int) -> bytes:
    target = int(i % 9 == 0)
    message = example_pb2.Example()
    features = message.features.feature
    features["image"].bytes_list.value.append(picture(chance.randrange(1 << 30), malignant=bool(target)))
    for key, value in (
        ("image_name", name),
        ("source", "clinic-a" if i % 4 else "clinic-b"),
        ("group_id", f"patient-{i // 2}"),
        ("diagnosis", "melanoma" if target else "nevus"),
        ("sex", ("female", "male")[i % 2]),
        ("anatom_site", SITES[i % len(SITES)]),
    ):
        features[key].bytes_list.value.append(value.encode())
    features["target"].int64_list.value.append(target)
    features["age_approx"].float_list.value.append(20 + (i * 7) % 65)
    raw: bytes = message.SerializeToString()
    return raw


def _run(
    made: Workspace,
    store: _Store,
    chance: random.Random,
    size: Size,
    number: int,
    started: int,
    state: str,
    data: Path,
    data_version: str,
    served: list[str],
) -> None:
    run_id = clock.stamp(started)[:19].replace("-", "").replace(":", "").replace("T", "-")
    folder = made.run_folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    preset = PRESETS[number % len(PRESETS)]
    config = _config(chance, preset)
    quality = 0.78 + 0.14 * number / max(1, size.runs) + chance.uniform(-0.03, 0.03)
    stop = {"failed": 8, "refused": 9}.get(state, len(STEPS))
    steps, outputs = store.run(made.root, run_id, started, stop, failed=state == "failed")
    names = [f"SAMPLE_{data.name[4:]}_test_{i:05d}" for i in range(round(size.images * 0.3))]
    metrics = None
    if state != "failed":
        metrics = _evaluate(outputs, names, quality, size.seed + number)
        _train(outputs, chance, quality, size.seed + number)
    _data_artifacts(outputs, size)
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
        _release(made, version, run_id, preset, started, data_version, metrics, verdicts, config, served)


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


def _evaluate(outputs: dict[str, Path], names: list[str], quality: float, seed: int) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    labels = np.array([int(i % 9 == 0) for i in range(len(names))])
    gap = 2.2 * (quality - 0.5) / 0.4
    scores = 1 / (1 + np.exp(-(chance.normal(-3.0, 1.1, len(names)) + labels * gap)))
    outputs["evaluation"].mkdir(parents=True, exist_ok=True)
    with (outputs["evaluation"] / "predictions.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(
            [
                "image_name",
                "source",
                "target",
                "probability",
                "threshold",
                "out_of_distribution",
                "diagnosis",
                "sex",
                "age_band",
                "anatom_site",
                "model_version",
            ]
        )
        for i, name in enumerate(names):
            rows.writerow(
                [
                    name,
                    "clinic-a" if i % 4 else "clinic-b",
                    labels[i],
                    scores[i],
                    THRESHOLD,
                    0.0,
                    "melanoma" if labels[i] else "nevus",
                    ("female", "male")[i % 2],
                    "45-59",
                    SITES[i % len(SITES)],
                    "1",
                ]
            )
    called = scores >= THRESHOLD
    positives, negatives = scores[labels == 1], scores[labels == 0]
    return {
        "slice": "overall",
        "auc": float((positives[:, None] > negatives[None, :]).mean()),
        "auc_precision_recall": 0.5,
        "true_positives": int((called & (labels == 1)).sum()),
        "false_negatives": int((~called & (labels == 1)).sum()),
        "true_negatives": int((~called & (labels == 0)).sum()),
        "false_positives": int((called & (labels == 0)).sum()),
    }


def _train(outputs: dict[str, Path], chance: random.Random, quality: float, seed: int) -> None:
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


def _data_artifacts(outputs: dict[str, Path], size: Size) -> None:
    for split in ("train", "eval"):
        folder = outputs["statistics"] / f"Split-{split}"
        folder.mkdir(parents=True, exist_ok=True)
        message = data_statistics_pb2.DatasetFeatureStatisticsList()
        data = message.datasets.add(name=split, num_examples=size.images)
        age = data.features.add(type=data_statistics_pb2.FeatureNameStatistics.FLOAT)
        age.path.step.append("age_approx")
        age.num_stats.common_stats.num_non_missing = size.images
        age.num_stats.mean, age.num_stats.min, age.num_stats.median, age.num_stats.max = (
            51.0,
            20.0,
            50.0,
            84.0,
        )
        histogram = age.num_stats.histograms.add()
        for i in range(10):
            histogram.buckets.add(
                low_value=20 + 6.4 * i, high_value=26.4 + 6.4 * i, sample_count=10 + (i * 13) % 29
            )
        sex = data.features.add(type=data_statistics_pb2.FeatureNameStatistics.STRING)
        sex.path.step.append("sex")
        sex.string_stats.common_stats.num_non_missing = size.images
        sex.string_stats.unique = 2
        for value in ("female", "male"):
            sex.string_stats.top_values.add(value=value, frequency=size.images / 2)
        (folder / "FeatureStats.pb").write_bytes(message.SerializeToString())
        found = outputs["anomalies"] / f"Split-{split}"
        found.mkdir(parents=True, exist_ok=True)
        anomalies = data_statistics_pb2.Anomalies()
        if split == "eval":
            info = anomalies.anomaly_info["diagnosis"]
            info.short_description = "Unexpected string values"
            info.description = "Examples contain values missing from the schema: 'lentigo' (~1%)."
            info.severity = data_statistics_pb2.AnomalyInfo.WARNING
        (found / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())


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


def _release(
    made: Workspace,
    version: str,
    run_id: str,
    preset: str,
    started: int,
    data_version: str,
    metrics: dict[str, Any],
    verdicts: list[dict[str, Any]],
    config: dict[str, Any],
    served: list[str],
) -> None:
    made.records.mkdir(parents=True, exist_ok=True)
    (made.served / version).mkdir(parents=True, exist_ok=True)
    (made.served / version / "saved_model.pb").write_bytes(b"an example, no model")
    positives = metrics["true_positives"] + metrics["false_negatives"]
    negatives = metrics["true_negatives"] + metrics["false_positives"]
    seal = hashlib.sha256(version.encode()).hexdigest()
    record = {
        "schema_version": 1,
        "model_name": made.model_name,
        "version": version,
        "created": clock.stamp(started + 30 * clock.MINUTE),
        "run_id": run_id,
        "preset": preset,
        "software": "0.1.0",
        "config": config,
        "label_counts": {"train": {"negatives": 130, "positives": 17}},
        "metrics": {
            "auc": metrics["auc"],
            "auc_precision_recall": metrics["auc_precision_recall"],
            "sensitivity": metrics["true_positives"] / positives,
            "specificity": metrics["true_negatives"] / negatives,
            "threshold": THRESHOLD,
        },
        "slices": [],
        "verdicts": verdicts,
        "sha256": seal,
        "fingerprint": seal,
        "parents": {"data_version": data_version, "baseline_version": served[-1] if served else None},
        "model": {
            "model_version": version,
            "threshold": THRESHOLD,
            "zones": {"low_below": LOW_BELOW, "refer_from": THRESHOLD},
            "parameters": 3_413_024,
        },
        "files": [],
    }
    (made.records / f"{version}.json").write_text(json.dumps(record, indent=2) + "\n")
    event = {
        "time": clock.stamp(started + 31 * clock.MINUTE),
        "action": "pushed",
        "version": version,
        "previous": served[-1] if served else None,
        "who": f"run {run_id}",
        "why": f"every gate let it through (AUC {metrics['auc']:.3f})",
    }
    with made.events.open("a") as stream:
        stream.write(json.dumps(event, separators=(",", ":")) + "\n")
    (made.records / "channels.json").write_text(
        json.dumps({"stable": version, "canary": None}, separators=(",", ":")) + "\n"
    )
    made.server_config.write_text(server_config(made.model_name, made.served.resolve(), version, None))
    served.append(version)


class _Store:
    """ML Metadata's tables as far as the dashboard reads them."""

    TABLES = """
    CREATE TABLE IF NOT EXISTS Type (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(255) NOT NULL, version VARCHAR(255), type_kind TINYINT(1) NOT NULL);
    CREATE TABLE IF NOT EXISTS Artifact (id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INT NOT NULL, uri TEXT, state INT, name VARCHAR(255));
    CREATE TABLE IF NOT EXISTS Execution (id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INT NOT NULL, last_known_state INT, name VARCHAR(255), create_time_since_epoch INT NOT NULL DEFAULT 0, last_update_time_since_epoch INT NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS Event (id INTEGER PRIMARY KEY AUTOINCREMENT, artifact_id INT NOT NULL, execution_id INT NOT NULL, type INT NOT NULL, milliseconds_since_epoch INT);
    CREATE TABLE IF NOT EXISTS EventPath (event_id INT NOT NULL, is_index_step TINYINT(1) NOT NULL, step_index INT, step_key TEXT);
    CREATE TABLE IF NOT EXISTS Context (id INTEGER PRIMARY KEY AUTOINCREMENT, type_id INT NOT NULL, name VARCHAR(255) NOT NULL);
    CREATE TABLE IF NOT EXISTS Association (id INTEGER PRIMARY KEY AUTOINCREMENT, context_id INT NOT NULL, execution_id INT NOT NULL);
    CREATE INDEX IF NOT EXISTS idx_association_execution_id ON Association (execution_id);
    CREATE INDEX IF NOT EXISTS idx_association_context_id ON Association (context_id);
    CREATE INDEX IF NOT EXISTS idx_event_execution_id ON Event (execution_id);
    CREATE INDEX IF NOT EXISTS idx_event_artifact_id ON Event (artifact_id);
    CREATE INDEX IF NOT EXISTS idx_eventpath_event_id ON EventPath (event_id);
    """

    def __init__(self, path: Path) -> None:
        self._store = sqlite3.connect(path)
        self._store.executescript(self.TABLES)
        self._types: dict[tuple[str, int], int] = {}

    def run(
        self, root: Path, run_id: str, started: int, stop: int, *, failed: bool = False, running: bool = False
    ) -> tuple[list[dict[str, Any]], dict[str, Path]]:
        """Write the first `stop` steps of a run; the steps for run.json, and every output's folder."""
        context = self._insert("Context", type_id=self._type("pipeline_run", 2), name=run_id)
        artifacts: dict[str, int] = {}
        folders: dict[str, Path] = {}
        steps: list[dict[str, Any]] = []
        at = started
        for number, (name, kind, inputs, outputs) in enumerate(STEPS):
            for key, _ in outputs:
                folders[key] = root / "artifacts" / name / key / f"{run_id}"
            if number >= stop:
                continue
            last = number == stop - 1
            state = (
                4 if failed and last else 2 if running and last else 5 if number < 2 and started % 2 else 3
            )
            spent = (1 + (number * 7) % 11) * 4000 if state != 5 else 40
            execution = self._insert(
                "Execution",
                type_id=self._type(f"components.{kind}", 0),
                last_known_state=state,
                name=f"{run_id}-{number}",
                create_time_since_epoch=at,
                last_update_time_since_epoch=at + spent,
            )
            node = self._insert("Context", type_id=self._type("node", 2), name=f"melanosizer.{name}")
            for one in (context, node):
                self._insert("Association", context_id=one, execution_id=execution)
            for key in inputs:
                if key in artifacts:
                    self._event(artifacts[key], execution, 3, key)
            made: dict[str, list[str]] = {}
            if state in (3, 5):
                for key, type_name in outputs:
                    artifacts[key] = self._insert(
                        "Artifact", type_id=self._type(type_name, 1), uri=str(folders[key]), state=2
                    )
                    folders[key].mkdir(parents=True, exist_ok=True)
                    self._event(artifacts[key], execution, 4, key)
                    made[key] = [str(folders[key])]
            word = {2: "RUNNING", 3: "COMPLETE", 4: "FAILED", 5: "CACHED"}[state]
            steps.append({"name": kind, "state": word, "seconds": spent / 1000, "outputs": made})
            at += spent
        self._store.commit()
        return steps, folders

    def close(self) -> None:
        """Close the file."""
        self._store.commit()
        self._store.close()

    def _event(self, artifact: int, execution: int, kind: int, key: str) -> None:
        event = self._insert("Event", artifact_id=artifact, execution_id=execution, type=kind)
        self._insert("EventPath", event_id=event, is_index_step=0, step_key=key)

    def _type(self, name: str, kind: int) -> int:
        if (name, kind) not in self._types:
            found = self._store.execute(
                "SELECT id FROM Type WHERE name = ? AND type_kind = ?", (name, kind)
            ).fetchone()
            self._types[name, kind] = found[0] if found else self._insert("Type", name=name, type_kind=kind)
        return self._types[name, kind]

    def _insert(self, table: str, **values: Any) -> int:
        marks = ", ".join("?" * len(values))
        cursor = self._store.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})",  # noqa: S608 - names of this module
            tuple(values.values()),
        )
        return int(cursor.lastrowid or 0)


class LiveRun:
    """A run under way, step by step: what a page that is open should notice."""

    def __init__(self, made: Workspace, run_id: str, started: int) -> None:
        self._made, self._run_id, self._started = made, run_id, started
        folder = made.run_folder(run_id)
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
        store = _Store(self._made.metadata)
        store.run(self._made.root, self._run_id, self._started, stop, running=True)
        store.close()

    def finish(self, state: str = "refused") -> None:
        """Write run.json."""
        document = {
            "run_id": self._run_id, "status": state, "reason": "auc is 0.612, must be >= 0.7", "preset": "quick",
            "data": "", "data_version": "", "started": clock.stamp(self._started), "seconds": 61.0, "version": None,
            "model": None, "metrics": None, "threshold": None, "verdicts": [], "steps": [],
        }  # fmt: skip
        partial = self._made.run_folder(self._run_id) / "run.json.partial"
        partial.write_text(json.dumps(document))
        partial.replace(partial.with_suffix(""))
        self._held.close()


def main(
    folder: Annotated[Path, typer.Argument(help="New workspace.")],
    runs: int = 24,
    predictions: int = 5000,
    devices: int = 40,
    images: int = 600,
    seed: int = 7,
    url: Annotated[str, typer.Option(help="Database; the workspace's own SQLite file where empty.")] = "",
) -> None:
    """Write an example workspace, for a look round: melanosizer dashboard --workspace FOLDER."""
    from dashboard.database import migrate
    from dashboard.settings import Settings

    size = Size(runs, images, predictions, devices, seed)
    made = workspace(folder.absolute(), size)
    database = Database(url or Settings(workspace=folder.absolute()).database)
    migrate.upgrade(database)
    field(database, Recorder(database), RegistryFiles(made).names()[::-1], size)
    database.close()
    print(f"melanosizer dashboard --workspace {folder}")


if __name__ == "__main__":
    typer.run(main)
