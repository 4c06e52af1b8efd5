"""Builds TFMA's configuration from ours."""

from __future__ import annotations

import tensorflow_model_analysis as tfma
from google.protobuf import text_format
from google.protobuf.wrappers_pb2 import BoolValue, DoubleValue
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator.config import EvaluatorConfig
from core.features import DECISION, PROBABILITY, TARGET

SIGNATURE = "serving_examples"


def build(config: EvaluatorConfig) -> tfma.EvalConfig:
    """Return TFMA's configuration: metrics of the probability and of the decision, overall and by slice.

    The bounds of the AUC are TFMA's own thresholds, overall only: without a slice in their
    specification TFMA would apply them to every slice. What TFMA cannot say (a minimum number of
    melanomas in a slice) is judged in `judge.py` from the same metrics.
    """
    overall = tfma.SlicingSpec()
    bounds = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[overall],
        threshold=tfma.MetricThreshold(
            value_threshold=tfma.GenericValueThreshold(lower_bound=DoubleValue(value=config.min_auc)),
            change_threshold=tfma.GenericChangeThreshold(
                direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
                absolute=DoubleValue(value=-config.max_auc_loss),
            ),
        ),
    )
    probability = tfma.MetricsSpec(
        output_names=[PROBABILITY],
        metrics=[
            tfma.MetricConfig(class_name="ExampleCount"),
            tfma.MetricConfig(class_name="AUC", per_slice_thresholds=[bounds]),
            tfma.MetricConfig(class_name="AUCPrecisionRecall"),
            tfma.MetricConfig(class_name="Calibration"),
            tfma.MetricConfig(class_name="CalibrationPlot"),
        ],
    )
    decision = tfma.MetricsSpec(
        output_names=[DECISION],
        metrics=[
            tfma.MetricConfig(class_name=name, config='{"thresholds": [0.5]}')
            for name in ("TruePositives", "FalseNegatives", "TrueNegatives", "FalsePositives")
        ],
    )
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name=SIGNATURE, label_key=TARGET)],
        slicing_specs=[overall, *(tfma.SlicingSpec(feature_keys=[name]) for name in config.slices)],
        metrics_specs=[probability, decision],
        options=config_pb2.Options(include_default_metrics=BoolValue(value=False)),
    )


def as_text(config: tfma.EvalConfig) -> str:
    """Return the configuration as text proto, for the record."""
    return text_format.MessageToString(config)
