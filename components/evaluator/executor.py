"""TFX's Evaluator, followed by our verdict.

TFMA measures and checks the AUC's bounds. The rules TFMA cannot express are applied to the same
metrics afterwards; a model that breaks one loses the blessing, so that it can neither be pushed nor
become the baseline of the next run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import path_utils

from components.evaluator import measured, predictions
from components.evaluator.baseline import BASELINE_VERSION, RUN_KEY
from components.evaluator.config import EvaluatorConfig
from components.evaluator.judge import ALONE, judge
from components.gate.blessing import bless_model
from core.features import MODEL_VERSION, PROBABILITY
from core.hashing import FACTS

TEST = "test"


class Executor(tfx_evaluator.Executor):
    """Measures with TFMA, then judges, then keeps every single prediction for the report."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Write TFMA's evaluation, `verdict.json` and `predictions.csv`, and set the blessing."""
        config = EvaluatorConfig.model_validate_json(exec_properties["gate_config"])
        super().Do(input_dict, output_dict, exec_properties)
        folder = Path(artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY]))
        slices = measured.load(folder)
        baselines = input_dict.get(standard_component_specs.BASELINE_MODEL_KEY)
        verdict = judge(config, slices, _baseline_auc(folder), "" if baselines else ALONE)
        verdict.save(folder)
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        blessing.set_string_custom_property(RUN_KEY, exec_properties[RUN_KEY])
        bless_model(blessing, verdict.passed)
        if baselines:
            # The registry is told here: in a container of its own it cannot look into the baseline's folder.
            blessing.set_string_custom_property(BASELINE_VERSION, _version(baselines[0].uri))
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        split = artifact_utils.get_split_uri(input_dict[standard_component_specs.EXAMPLES_KEY], TEST)
        answers = predictions.predict(
            Path(path_utils.serving_model_path(model.uri)), sorted(Path(split).glob("*"))
        )
        predictions.save(list(answers), folder)


def _version(model_uri: str) -> str:
    facts = Path(path_utils.serving_model_path(model_uri)) / FACTS
    return str(json.loads(facts.read_text())[MODEL_VERSION]) if facts.exists() else ""


def _baseline_auc(folder: Path) -> float | None:
    """Return the AUC of the baseline that TFMA measured beside the candidate, if there was one."""
    for record in tfma.load_metrics(str(folder)):
        if record.slice_key.single_slice_keys:
            continue
        for entry in record.metric_keys_and_values:
            key = entry.key
            if key.name == "auc" and key.output_name == PROBABILITY and key.model_name == "baseline":
                return float(entry.value.double_value.value)
    return None
