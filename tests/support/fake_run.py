"""Writes what a run leaves behind, with made-up answers of a middling model: for tests and for looking at the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.balance.records import GROUPS
from components.evaluator import measured, predictions, worst
from components.evaluator.predictions import Prediction
from components.ingest.manifest import Manifest
from components.ingest.row import Refusal, save_refusals
from core.features import age_band
from core.records.evaluation import SliceMetrics
from core.records.verdict import OVERALL, Check, Verdict, at_least, at_most
from core.records.version import FileHash, Parents, VersionRecord
from core.workspace import MARKER, Workspace
from pipeline.outcome import Outcome, StepOutcome

RUN_ID = "20261121-120000"
VERSION = "1795303056"
DATA_VERSION = "5f" * 32
THRESHOLD = 0.08
CONFIG: dict[str, Any] = {
    "about": {"purpose": "a made-up run", "expect": "nothing", "takes": "no time", "command": "none"},
    "model_name": "melanoma",
    "balance": {"min_positive_share": 0.01, "max_positive_share": 0.5},
    "trainer": {
        "strategy": "fine_tune",
        "backbone": "efficientnet_lite0",
        "seed": 17,
        "stages": [
            {"size": 128, "epochs": 8.0, "snapshot": True},
            {"size": 160, "epochs": 4.0, "snapshot": True},
        ],
    },
    "evaluator": {
        "min_auc": 0.75,
        "slices": ["sex", "age_band", "anatom_site"],
        "min_slice_auc": 0.6,
        "min_slice_sensitivity": 0.5,
        "min_slice_positives": 10,
        "min_slice_negatives": 20,
        "bootstrap_samples": 100,
        "confidence": 0.95,
    },
    "metadata_url": None,
}
MODEL: dict[str, Any] = {
    "model_version": VERSION,
    "threshold": THRESHOLD,
    "operating_point": {"wanted_sensitivity": 0.9, "sensitivity": 0.9032, "specificity": 0.71},
    "zones": {"low_below": 0.0083, "refer_from": 0.149},
    "calibration": {"kind": "temperature", "temperature": 1.41, "scale": 0.709, "shift": 0.0},
    "backbone": {
        "name": "efficientnet_lite0",
        "weights": "imagenet",
        "members": [{"size": 128}, {"size": 160}],
        "tta": 1,
    },
    "parameters": 6824690,
}
SITES = ("trunk", "lower extremity", "upper extremity", "head/neck", "palms/soles")

Row = dict[str, Any]


def rows(images: int, seed: int = 3) -> list[Row]:
    """Return lesions with a probability each."""
    random = np.random.default_rng(seed)
    made = []
    for index in range(images):
        target = int(random.random() < 0.09)
        age = (
            None
            if random.random() < 0.03
            else float(np.clip(random.normal(58 if target else 50, 15), 5, 90) // 5 * 5)
        )
        logit = random.normal(-1.5 if target else -4.2, 1.5)
        made.append(
            {
                "image_name": f"LESION_{index:05d}",
                "source": "made-up",
                "target": target,
                "diagnosis": "mel"
                if target
                else str(random.choice(["nv", "bkl", "bcc", "df"], p=[0.75, 0.14, 0.08, 0.03])),
                "sex": str(random.choice(["male", "female", "unknown"], p=[0.54, 0.44, 0.02])),
                "age": age,
                "anatom_site": str(random.choice(SITES, p=[0.4, 0.25, 0.2, 0.12, 0.03])),
                "probability": float(1 / (1 + np.exp(-logit))),
            }
        )
    return made


def jpeg(index: int) -> bytes:
    """Return a small picture whose colour depends on ``index``."""
    out = io.BytesIO()
    Image.new("RGB", (32, 24), (200, 150 - index % 100, 120)).save(out, "JPEG")
    return out.getvalue()


def group_counts(splits: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Return what the class balance step counts."""
    found: dict[str, Any] = {}
    for split, lesions in splits.items():
        for row in lesions:
            for group in GROUPS:
                value = age_band(row["age"]) if group == "age_band" else row[group]
                labels = found.setdefault(split, {}).setdefault(group, {}).setdefault(value, [0, 0])
                labels[row["target"]] += 1
    return found


def write_pictures(evaluation: Path, answers: Sequence[Prediction], picture: Callable[[int], bytes]) -> None:
    """Write the worst errors' pictures as the Evaluator does."""
    (evaluation / worst.PICTURES).mkdir()
    for kind, items in (("missed", worst.missed(answers)), ("false_alarm", worst.false_alarms(answers))):
        for number, item in enumerate(items[: worst.SHOWN]):
            drawn = worst.thumbnail(picture(int(item.image_name[-5:])))
            assert drawn is not None
            (evaluation / worst.PICTURES / f"{kind}_{number:02d}.jpg").write_bytes(drawn)


def write_manifest(folder: Path, sizes: dict[str, int]) -> None:
    """Write the accounts that ingest leaves beside the records."""
    shard = {"file": "x", "bytes": 1, "sha256": "0" * 64}
    images = sum(sizes.values())
    reasons = {"duplicate": 2, "truncated": 1}
    Manifest.model_validate(
        {
            "data_version": DATA_VERSION,
            "created": "2026-11-21T11:00:00Z",
            "counts": {
                "rows_read": images + 3, "written": images, "quarantined": 3, "by_reason": reasons,
                "converted": {"png": 4}, "near_duplicates": 2, "unlisted_files": 1,
            },
            "splits": {
                split: {"images": n, "positives": n // 11, "groups": n - 1, "diagnoses": {}, "shards": [{**shard, "records": n}]}
                for split, n in sizes.items()
            },
            "sources": [{"name": "made-up", "kind": "csv", "table": "metadata.csv", "rows_read": images + 3, "written": images}],
            "labels": [
                {"name": "Nevus", "became": "0", "rows": images - images // 11 - 14},
                {"name": "MELANOMA", "became": "1", "rows": images // 11},
                *({"name": f"rare {number}", "became": "0", "rows": 1} for number in range(14)),
                {"name": "<b>not sure</b>", "became": "unknown_label", "rows": 1},
            ],
            "spans": [
                {"number": 1, "created": "2026-10-01T08:00:00Z", "images": {"train": 100, "test": 20}, "positives": {"train": 9, "test": 2}},
                {"number": 2, "created": "2026-11-21T11:00:00Z", "images": {"train": 30}, "positives": {"train": 4}},
            ],
            "class_weights": [0.55, 5.56],
            "config": {"sources": [{"kind": "csv", "path": "metadata.csv"}]},
        }
    ).save(folder)  # fmt: skip
    rows = [
        Refusal(source="made-up", line=line, image_name=name, file=f"{name}.jpg", reason=reason, detail="")
        for line, (name, reason) in enumerate(
            [("a", "duplicate"), ("b", "duplicate"), ("<script>alert(1)</script>", "truncated")]
        )
    ]
    save_refusals(rows, folder)


def robustness() -> dict[str, Any]:
    """Return what the Trainer writes into robustness.json."""

    def row(change: str, strength: str, auc: float, sensitivity: float, changed: float) -> dict[str, Any]:
        figures = {
            "auc": auc,
            "lost": 0.91 - auc,
            "sensitivity": sensitivity,
            "specificity": 0.7,
            "changed": changed,
        }
        return {"change": change, "strength": strength, **figures}

    rows = [
        row("as it is", "", 0.91, 0.9, 0.0),
        row("blur", "sigma 1 px of 224", 0.90, 0.85, 0.02),
        row("hair", "12 dark hairs", 0.87, 0.6, 0.08),
    ]
    return {"split": "eval", "images": 200, "positives": 74, "rows": rows}


def history() -> dict[str, Any]:
    """Return what the Trainer writes into history.json."""
    epochs = []
    for index in range(12):
        second = index >= 8
        epochs.append(
            {
                "stage": int(second), "size": 160 if second else 128, "epoch": index % 8 + 1,
                "loss": 1.6 * 0.86**index + 0.3, "eval_auc": 0.9 - 0.25 * 0.75**index - (0.03 if index == 7 else 0),
                "eval_log_loss": 0.22 + 0.35 * 0.7**index + (0.03 if index == 7 else 0), "false_negatives": 40 - 2 * index,
                "positives": 49, "learning_rate": 1.0 - index / 12, "seconds": 41.5, "waiting": 0.012,
                "images_per_second": 48.2,
            }
        )  # fmt: skip
    device = {
        "kind": "int8", "bytes": 3_512_000, "sha256": "d1" * 32, "latency_ms": 21.4, "auc_lost": 0.0012,
        "agreement": 0.991, "largest_difference": 0.04, "images": 898, "complaints": [],
    }  # fmt: skip
    return {"epochs": epochs, "metrics": {"litert": [device]}}


def record(result: Outcome) -> VersionRecord:
    """Return what the registry keeps of the pushed version."""
    return VersionRecord(
        model_name="melanoma",
        version=VERSION,
        created=result.started,
        run_id=RUN_ID,
        preset="quick",
        software="0.1.0",
        config={},
        label_counts={},
        metrics=result.metrics.recorded(THRESHOLD) if result.metrics else {},
        slices=(),
        verdicts=result.verdicts,
        sha256="c0" * 32,
        fingerprint="f1" * 32,
        parents=Parents(data_version=DATA_VERSION, baseline_version="1795200000"),
        model=MODEL,
        files=(FileHash(path="assets.extra/model_int8.tflite", sha256="d1" * 32, bytes=3_512_000),),
    )


def verdicts(found: Sequence[Row], refused: str) -> tuple[Verdict, ...]:
    """Return the gates' verdicts; ``refused`` names the gate that refuses, "" for none."""
    labels = "12 of 200 images are positive"
    data = [at_most("schema_anomalies", 0.0, 0.0, f"split:{split}") for split in ("train", "eval", "test")]
    data += [
        at_least(
            "positives",
            2.0 if refused == "data" and split == "test" else 49.0,
            20.0,
            f"split:{split}",
            labels,
        )
        for split in ("train", "eval", "test")
    ]
    data.append(at_most("groups_in_two_splits", 0.0, 0.0))
    if refused == "data":
        return (Verdict(gate="data", checks=tuple(data)),)
    limit = 0.95 if refused == "model" else 0.7
    positives = sum(row["target"] for row in found)
    hits = sum(row["target"] and row["probability"] >= THRESHOLD for row in found)
    model = [
        at_least("auc", 0.8931, limit),
        at_least(
            "sensitivity", hits / positives, limit - 0.1, detail=f"{hits} of {positives} melanomas found"
        ),
        at_least("specificity", 0.71, 0.3),
        at_least("auc", 0.86, 0.6, "sex:male", "40 melanomas of 500 images"),
    ]
    serving = [
        at_least("loads_and_answers", 1.0, 1.0),
        at_most("difference_from_python", 3e-7, 1e-4),
        Check(metric="refuses", slice="request:jpeg_header_only", value=1.0, comparison=">=", limit=1.0, passed=True, detail="INVALID_ARGUMENT: <b>no image</b>"),
        at_most("latency_ms", 23.4, 1000.0, detail="median of single images"),
    ]  # fmt: skip
    return tuple(
        Verdict(gate=gate, checks=tuple(checks))
        for gate, checks in (("data", data), ("model", model), ("serving", serving))
    )


def write(
    root: Path,
    *,
    status: str = "pushed",
    refused: str = "",
    images: int = 240,
    others: int | None = None,
    picture: Callable[[int], bytes] = jpeg,
) -> tuple[Outcome, Workspace]:
    """Write a run's folder and artifacts below ``root`` and return its outcome.

    Args:
        root: an empty folder, which becomes the workspace.
        status: how the run ended.
        refused: the gate that refused: data | model | "".
        images: test images.
        others: images of train and of eval; default: as many.
        picture: the JPEG of an image by its number.
    """
    others = images if others is None else others
    workspace = Workspace(root / "workspace")
    run = workspace.run(RUN_ID)
    run.mkdir(parents=True)
    (workspace.root / MARKER).touch()
    (run / "config.json").write_text(json.dumps(CONFIG))
    data = root / "data"
    test = rows(images)
    splits = {"train": rows(others, 1), "eval": rows(others, 2), "test": test}
    data.mkdir()
    write_manifest(data, {"train": others, "eval": others, "test": images})
    artifacts = workspace.artifacts
    model_run, evaluation, balance, model = (
        artifacts / name for name in ("model_run", "evaluation", "balance", "model")
    )
    for folder in (model_run, evaluation, balance, model / "assets.extra"):
        folder.mkdir(parents=True)
    counts = {
        split: {"negatives": 91 * k, "positives": 9 * k}
        for split, k in (("train", 36), ("eval", 12), ("test", 12))
    }
    (balance / "balance.json").write_text(
        json.dumps(
            {"data_version": DATA_VERSION, "label_counts": counts, "class_weights": {"0": 0.5495, "1": 5.5556},
             "overlap": {"groups": 0, "images": 0, "named": []}, "groups": group_counts(splits)}
        )
    )  # fmt: skip
    trained = status != "failed" and refused != "data"
    slices: tuple[SliceMetrics, ...] = ()
    steps = [
        ("ImportExampleGen", "CACHED", 0.0, {}),
        ("ClassBalance", "COMPLETE", 5.1, {"balance": [str(balance)]}),
    ]
    if trained:
        (model_run / "history.json").write_text(json.dumps(history()))
        (model_run / "robustness.json").write_text(json.dumps(robustness()))
        with (model_run / "eval_predictions.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["image_name", "target", "probability"])
            writer.writerows(
                [row["image_name"], row["target"], row["probability"]] for row in rows(images, 2)
            )
        (model / "assets.extra" / "melanosizer.json").write_text(json.dumps(MODEL))
        answers = [_answer(row) for row in test]
        predictions.save(answers, evaluation)
        slices = measured.from_predictions(answers, CONFIG["evaluator"]["slices"])
        measured.save(slices, evaluation)
        write_pictures(evaluation, answers, picture)
        steps += [
            ("Trainer", "COMPLETE", 498.2, {"model_run": [str(model_run)]}),
            ("Evaluator", "COMPLETE", 31.0, {"evaluation": [str(evaluation)]}),
            ("Pusher", "COMPLETE", 0.1, {}),
        ]
    else:
        steps.append(("DataGate" if refused else "Trainer", "FAILED", 0.2, {}))
    result = Outcome(
        run_id=RUN_ID,
        status=status,
        reason="ValueError: <the loss is nan>" if status == "failed" else "",
        preset="quick",
        data=str(data),
        data_version=DATA_VERSION,
        started=datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
        seconds=571.3,
        version=VERSION if status in ("pushed", "unchanged") else None,
        model=str(model) if trained else None,
        metrics=next((item for item in slices if item.slice == OVERALL), None),
        threshold=THRESHOLD if trained else None,
        verdicts=() if status == "failed" else verdicts(test, refused),
        steps=tuple(StepOutcome(name=n, state=s, seconds=t, outputs=o) for n, s, t, o in steps),
    )
    result.save(run)
    if status == "pushed":
        registry = workspace.root / "registry" / "melanoma"
        registry.mkdir(parents=True)
        (registry / f"{VERSION}.json").write_text(record(result).model_dump_json())
    return result, workspace


def _answer(row: Row) -> Prediction:
    return Prediction(
        image_name=row["image_name"],
        source=row["source"],
        target=row["target"],
        probability=row["probability"],
        threshold=THRESHOLD,
        out_of_distribution=float(row["image_name"].endswith("7") and row["image_name"].endswith("77")),
        diagnosis=row["diagnosis"],
        sex=row["sex"],
        age_band=age_band(row["age"]),
        anatom_site=row["anatom_site"],
        model_version=VERSION,
        skin_tone="light" if row["image_name"][-1] in "01234567" else "brown",
        image_quality="hairy" if row["image_name"].endswith("3") else "ordinary",
    )
