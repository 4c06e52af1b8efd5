"""What TFX's Trainer calls: from split records to a SavedModel that answers."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data.records import spread, write_predictions
from components.trainer.export import (
    calibration,
    contact_sheet,
    out_of_distribution,
    readout,
    robustness,
    saved_model,
)
from components.trainer.export.calibration import Calibration
from components.trainer.export.readout import Readout
from components.trainer.export.served import Served
from components.trainer.fit import distribution, folds, parent_models, training
from components.trainer.fit.backup import Backup
from components.trainer.fit.folds import OutOfFold
from components.trainer.fit.history import History
from components.trainer.fit.task import TrainContext
from components.trainer.fit.training import Answers, Data
from components.trainer.model.backbones import registry
from components.trainer.model.classifier import Classifier, predict
from components.trainer.progress import Progress
from core.measures import operating_point
from core.measures.auc import auc
from core.measures.calibration import brier, calibration_error, log_loss
from core.numbers import duration

_LOG = logging.getLogger(__name__)
ROBUSTNESS = "robustness.json"
TRIALS = "trials.json"
OUT_OF_FOLD = "out_of_fold_predictions.csv"
_REPRESENTATIVE = 200  # pictures that give int8 its ranges


def run_fn(fn_args: Any) -> None:
    """Trains, calibrates and exports by `fn_args.custom_config["trainer"]`.

    Writes the SavedModel to `fn_args.serving_model_dir`; history.json, eval_predictions.csv, metrics.json and
    TensorBoard logs to `fn_args.model_run_dir`. Of several workers the chief alone writes.

    Raises:
        pydantic.ValidationError: an unknown or impossible setting.
        UnknownBackboneError: there is no such network.
        ValueError: pictures too small for it.
        DataError: data that cannot be trained on, or other data than a version that is built on has seen.
        WeightsFileError, WeightsUnavailableError: first weights, or a teacher, that cannot be had.
        WorkersError: workers that cannot train together.
    """
    config = TrainerConfig.model_validate(fn_args.custom_config["trainer"])
    # Before anything else here uses TensorFlow.
    workers = distribution.workers(config.distribution)
    progress = Progress(silent=not workers.chief)
    run_dir = Path(fn_args.model_run_dir)
    history = History(run_dir, kept=workers.chief)
    given = fn_args.hyperparameters or {}
    if given.get("tuned"):
        config = config.tuned(given["tuned"])
        found = {"tuned": given["tuned"], "trials": given.get("trials", [])}
        history.keep(TRIALS, json.dumps(found, indent=1))
        progress.line("with the tuner's settings: %s", given["tuned"])
    registry.check(config.backbone, config.sides)
    workers.rows(config.batch_size)
    cache_dir = Path(config.cache_dir) if config.cache_dir else run_dir / "cache"
    keras.utils.set_random_seed(config.seed)
    started = time.monotonic()
    with progress.phase("reading"), workers.chief_first():  # decoded pictures are kept on disk
        data = training.read(fn_args, config, cache_dir, progress)
    for sentence in parent_models.check(config, data.version, data.gate.get("grown_from", ())):
        progress.line("%s", sentence)
    if workers.chief and (sheet := contact_sheet.make(data.train, config)):
        (run_dir / contact_sheet.FILE_NAME).write_bytes(sheet)
    key = _run_key(config, data)
    workers.agree(
        int(key[:12], 16), "its settings, its data or its kind of machine are not those of the others"
    )
    backup = Backup(cache_dir / "backup" / f"{key}.npz")
    context = TrainContext(cache_dir, history, backup, progress, workers)
    classifier, answers = training.train(config, data, context)
    if not workers.chief:
        # A worker that left would take the others down with it, and its job would not be done before the model is.
        workers.meet()
        return
    with progress.phase("calibration"):
        served, probabilities, metrics = _fit(config, data, classifier, answers, run_dir)
    metrics["training_seconds"] = round(time.monotonic() - started, 1)
    metadata = served.description(config, data, metrics)
    with progress.phase("robustness and export"), ThreadPoolExecutor(1) as beside:
        # Tracing the signatures is one thread's work; changed pictures are asked about meanwhile.
        table = beside.submit(_robustness, config, data, served, probabilities, progress)
        saved_model.write(served, Path(fn_args.serving_model_dir), metadata=metadata)
        if rows := table.result():
            history.keep(ROBUSTNESS, json.dumps(rows, indent=1))
    if config.litert:
        progress.line("converting for the device: %s", ", ".join(config.litert))
        # What fails is logged, not raised: the server's model is whole without it, and was an hour of training.
        with progress.phase("LiteRT"):
            metrics["litert"], failures = saved_model.write_litert(
                served,
                Path(fn_args.serving_model_dir),
                config.litert,
                representative=data.train.pictures[spread(len(data.train), _REPRESENTATIVE)],
                evaluation=data.evaluation,
                reference=probabilities,
            )
        for failure in failures:
            progress.line("no file for the device: %s", failure)
        if failures:
            metrics["litert_error"] = "; ".join(failures)
    metrics["phases"] = {name: round(seconds, 1) for name, seconds in progress.phases.items()}
    history.extra = {"config": config.model_dump(mode="json"), "metrics": metrics}
    history.write()
    history.keep("metrics.json", json.dumps(metrics, indent=1))
    backup.clear()
    point = served.point
    progress.line(
        f"model {served.version}: eval AUC {metrics['eval_auc']:.4f}, sensitivity {point.sensitivity:.3f}, "
        f"specificity {point.specificity:.3f} at {point.threshold:.4f}, "
        f"calibration error {metrics['calibration_error']:.3f}; {duration(time.monotonic() - started)} in all"
    )
    phases = ", ".join(f"{name} {duration(seconds)}" for name, seconds in progress.phases.items())
    progress.line(f"of that {phases}")
    workers.meet()


def _fit(
    config: TrainerConfig, data: Data, classifier: Classifier, answers: Answers, run_dir: Path
) -> tuple[Served, npt.NDArray[np.float32], dict[str, Any]]:
    """Fit readout, calibration, operating point, zones and out-of-distribution limit on eval."""
    evaluation = data.evaluation
    class_probabilities = answers.evaluation.class_probabilities
    read = readout.fit(classifier.classes, evaluation.targets, class_probabilities, config.head.others)
    plain = read(tf.constant(class_probabilities)).numpy()
    fitted = calibration.fit(config.calibration, evaluation.targets, plain)
    probabilities = calibration.apply(fitted, plain)
    point = operating_point.choose(evaluation.targets, probabilities, config.sensitivity)
    zones = operating_point.zones(config.zones, point.threshold)
    described = out_of_distribution.described(evaluation.pictures, answers.evaluation.features)
    detector = out_of_distribution.fit(
        out_of_distribution.described(data.train.pictures[answers.sample], answers.sample_features),
        described,
        config.out_of_distribution,
        config.out_of_distribution_margin,
    )
    version = str(int(time.time()))
    served = Served(
        classifier, read, fitted, point, zones, detector, answers.graph, config.image_size, version
    )
    write_predictions(run_dir / "eval_predictions.csv", evaluation, probabilities)

    def figures(answered: npt.NDArray[np.float32]) -> dict[str, Any]:
        return {
            "eval_auc": auc(evaluation.targets, answered),
            "log_loss": log_loss(evaluation.targets, answered),
            "calibration_error": calibration_error(evaluation.targets, answered),
        }

    metrics: dict[str, Any] = {
        **figures(probabilities),
        "log_loss_uncalibrated": log_loss(evaluation.targets, plain),
        "brier": brier(evaluation.targets, probabilities),
        "refused": float(tf.reduce_mean(detector(tf.constant(described)))),
        "zones": operating_point.zone_table(zones, evaluation.targets, probabilities),
        "train_images": len(data.train),
        "eval_images": len(evaluation),
        "eval_positives": int(evaluation.targets.sum()),
    }
    if answers.with_metadata is not None:
        # Calibrated as pictures alone are: that is what serving_with_metadata answers.
        knowing = read(tf.constant(answers.with_metadata.class_probabilities)).numpy()
        metrics["with_metadata"] = figures(calibration.apply(fitted, knowing))
    if answers.out_of_fold is not None:
        metrics["cross_validated"] = _cross_validated(
            config, data, answers.out_of_fold, read, fitted, run_dir / OUT_OF_FOLD
        )
    return served, probabilities, metrics


def _cross_validated(
    config: TrainerConfig,
    data: Data,
    found: OutOfFold,
    read: Readout,
    fitted: Calibration,
    path: Path,
) -> dict[str, Any]:
    """Figures of the answers of members to what they left out, which are written to a file."""
    train = data.train
    probabilities = calibration.apply(fitted, read(tf.constant(found.class_probabilities)).numpy())
    write_predictions(path, train, probabilities)
    figures = folds.figures(found, train.targets, probabilities, config.seed)
    by_fold = ", ".join(f"{value:.4f}" for value in figures["auc_by_fold"])
    Progress().line(
        "cross-validated on {images} training images, {positives} positive: AUC {auc:.4f} "
        "(95 % interval {auc_interval[0]:.4f} to {auc_interval[1]:.4f}), specificity {specificity:.3f} "
        "({specificity_interval[0]:.3f} to {specificity_interval[1]:.3f}) at sensitivity {wanted_sensitivity:.2f}, "
        "calibration error {calibration_error:.3f} ({calibration_error_interval[0]:.3f} to "
        "{calibration_error_interval[1]:.3f}); AUC by fold ".format(**figures)
        + by_fold
    )
    return figures


def _robustness(
    config: TrainerConfig,
    data: Data,
    served: Served,
    probabilities: npt.NDArray[np.float32],
    progress: Progress,
) -> dict[str, object] | None:
    """Return robustness.json; None where the configuration wants none."""
    if not config.robustness_images:
        return None

    def answer(pictures: npt.NDArray[np.uint8], change: str) -> npt.NDArray[np.float32]:
        class_probabilities = predict(
            served.classifier, pictures, progress, f"robustness, {change}", served.graph
        ).class_probabilities
        return served.probability(tf.constant(class_probabilities)).numpy()

    return robustness.measure(
        answer,
        data.evaluation.pictures,
        data.evaluation.targets,
        probabilities,
        served.point.threshold,
        config.robustness_images,
        config.seed,
    )


def _run_key(config: TrainerConfig, data: Data) -> str:
    about = [
        config.model_dump(mode="json", exclude={"cache_dir"}),
        data.train.fingerprint,
        data.evaluation.fingerprint,
        data.gate.get("class_weights"),
        keras.__version__,
        os.uname().machine,
    ]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]
