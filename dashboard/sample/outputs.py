"""What the steps of a run leave: statistics, anomalies, curves, predictions."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import numpy as np

from core.measures.auc import auc, auc_interval, compare_unpaired
from core.measures.calibration import calibration_line
from core.measures.rates import Interval, Labels, Scores, confusion, rate_of
from core.measures.summary import measure
from core.protos import data_statistics_pb2 as protos
from core.records.evaluation import EXTERNAL_FILE, EXTERNALS, External, SliceMetrics
from dashboard.sample.data_set import SITES, THRESHOLD, Size

COLUMNS = (
    "image_name", "source", "target", "probability", "threshold", "out_of_distribution", "diagnosis", "sex", "age_band",
    "anatom_site", "model_version",
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
    _elsewhere(outputs["evaluation"], labels, scores, chance)
    counts = confusion(labels, scores, THRESHOLD).counts
    return SliceMetrics(slice="overall", auc=auc(labels, scores), auc_precision_recall=0.5, **counts)


def _elsewhere(folder: Path, labels: Labels, scores: Scores, chance: np.random.Generator) -> None:
    """Write measures of another clinic's pictures, on which the model is worse and says too much."""
    there = np.array([int(i % 5 == 0) for i in range(120)])
    found = 1 / (1 + np.exp(-(chance.normal(-2.0, 1.6, len(there)) + there * 1.2)))
    test, line = compare_unpaired((labels, scores), (there, found)), calibration_line(there, found)
    rates = measure(there, found, THRESHOLD, samples=50)
    made = External(
        name="clinic-north", data_version="c" * 64, images=len(there), melanomas=int(there.sum()), copies=2,
        auc=auc_interval(there, found), drop=Interval(value=test.difference, low=test.low, high=test.high),
        drop_p=test.p, sensitivity=rates.sensitivity, specificity=rates.specificity, ece=rates.ece,
        brier=rates.brier, intercept=line.intercept, slope=line.slope, refused=rate_of(there < 0),
    )  # fmt: skip
    (folder / EXTERNAL_FILE).write_bytes(EXTERNALS.dump_json((made,)))


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
