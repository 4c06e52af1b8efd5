"""TensorFlow Model Analysis of answers that are already there, for its own viewers and as TFX's record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from google.protobuf.json_format import ParseDict
from tensorflow_model_analysis.api import model_eval_lib
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator.config import EvaluatorConfig
from components.evaluator.predictions import Prediction
from core.features import DECISION, PROBABILITY, TARGET


def configuration(config: EvaluatorConfig) -> config_pb2.EvalConfig:
    """Return TFMA's configuration: metrics of the probability and of the decision, overall and by slice.

    The bound of the AUC is TFMA's own threshold, overall only: without a slice in its specification TFMA would
    apply it to every slice. What TFMA cannot say (a minimum number of melanomas in a slice, the change from a baseline
    whose answers are here already) is judged in `judge.py`.
    """
    bound = {"slicing_specs": [{}], "threshold": {"value_threshold": {"lower_bound": config.min_auc}}}
    metrics: list[dict[str, Any]] = [
        {"class_name": "ExampleCount"},
        {"class_name": "AUC", "per_slice_thresholds": [bound]},
        *({"class_name": name} for name in ("AUCPrecisionRecall", "Calibration", "CalibrationPlot")),
    ]
    counts = [
        {"class_name": name, "config": '{"thresholds": [0.5]}'}
        for name in ("TruePositives", "FalseNegatives", "TrueNegatives", "FalsePositives")
    ]
    content = {
        "model_specs": [
            {"label_key": TARGET, "prediction_keys": {key: key for key in (PROBABILITY, DECISION)}}
        ],
        "slicing_specs": [{}, *({"feature_keys": [name]} for name in config.slices)],
        "metrics_specs": [
            {"output_names": [PROBABILITY], "metrics": metrics},
            {"output_names": [DECISION], "metrics": counts},
        ],
        "options": {"include_default_metrics": False},
    }
    return ParseDict(content, config_pb2.EvalConfig())


def analyse(
    pipeline: beam.Pipeline, config: EvaluatorConfig, answers: Sequence[Prediction], folder: Path
) -> None:
    """Write TFMA's metrics, plots and validation into ``folder`` when the Beam pipeline runs."""
    columns = {
        TARGET: _lists([item.target for item in answers], pa.int64()),
        PROBABILITY: _lists([item.probability for item in answers], pa.float32()),
        DECISION: _lists([float(item.probability >= item.threshold) for item in answers], pa.float32()),
    }
    for name in config.slices:
        columns[name] = _lists([getattr(item, name).encode() for item in answers], pa.binary())
    batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    _ = (
        pipeline
        | beam.Create([batch])
        | model_eval_lib.ExtractEvaluateAndWriteResults(
            eval_config=configuration(config), output_path=str(folder)
        )
    )


def _lists(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    return pa.array([[value] for value in values], pa.list_(kind))
