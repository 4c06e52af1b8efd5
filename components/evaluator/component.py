"""The Evaluator: measures a model on `test` and judges it, TFX's interface with our executor and our limits.

The model is loaded once and asked once about each image. Everything that is said of it afterwards, by TensorFlow Model
Analysis, by the gate and by the report, is computed from those answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx.components.evaluator import constants
from tfx.components.evaluator.component import Evaluator as TfxEvaluator
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.channel import Channel
from tfx.types.component_spec import ExecutionParameter
from tfx.utils import path_utils

from components.evaluator import analysis, measured, predictions
from components.evaluator.baseline import BASELINE_VERSION, RUN_KEY
from components.evaluator.config import EvaluatorConfig, ExternalData
from components.evaluator.judge import ALONE, judge
from components.evaluator.model import Model
from components.evaluator.predictions import Prediction
from components.evaluator.worst import WorstErrors
from components.gate.blessing import bless_model
from core.errors import UsageError
from core.features import MODEL_VERSION
from core.files import read_json
from core.hashing import FACTS
from core.measures.auc import auc
from core.records.evaluation import External

TEST = "test"
EXTERNAL = "external"  # folder of the answers to other data sets


class Executor(base_beam_executor.BaseBeamExecutor):
    """Asks the model, keeps its answers and worst errors, and sets the blessing."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Write predictions, slices, worst errors, TFMA's evaluation and `verdict.json`; set the blessing."""
        self._log_startup(input_dict, output_dict, exec_properties)
        config = EvaluatorConfig.model_validate_json(exec_properties["gate_config"])
        folder = Path(artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY]))
        split = artifact_utils.get_split_uri(input_dict[standard_component_specs.EXAMPLES_KEY], TEST)
        files = sorted(Path(split).glob("*"))
        artifact = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        model = Model(Path(path_utils.serving_model_path(artifact.uri)))
        answers = _ask(model, files, folder)
        elsewhere = [_ask_elsewhere(model, data, answers, config, folder) for data in config.external]
        if elsewhere:
            measured.save_external(elsewhere, folder)
        before = input_dict.get(standard_component_specs.BASELINE_MODEL_KEY)
        baseline = _probabilities(before[0].uri, files) if before else None
        slices = measured.from_predictions(answers, config.slices)
        measured.save(slices, folder)
        with self._make_beam_pipeline() as pipeline:
            analysis.analyse(pipeline, config, answers, folder)
        baseline_auc = auc(*predictions.arrays(baseline)) if baseline else None
        verdict = judge(config, slices, baseline_auc, ALONE, elsewhere)
        verdict.save(folder)
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        texts = {
            constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY: artifact.uri,
            RUN_KEY: exec_properties[RUN_KEY],
        }
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, artifact.id)
        if before:
            texts[constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY] = before[0].uri
            blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, before[0].id)
            # For the registry: in a container of its own it cannot look into the baseline's folder.
            texts[BASELINE_VERSION] = _version(before[0].uri)
        for name, text in texts.items():
            blessing.set_string_custom_property(name, text)
        bless_model(blessing, verdict.passed)


def _ask(model: Model, files: list[Path], folder: Path) -> list[Prediction]:
    """Return the answers to all images, written into ``folder`` with the pictures of the worst errors."""
    worst = WorstErrors()
    answers = []
    for prediction, image in predictions.predict(model, files):
        answers.append(prediction)
        worst.add(prediction, image)
    if not answers:
        raise ValueError(f"split {TEST} holds no image: {', '.join(map(str, files)) or 'no file'}")
    predictions.save(answers, folder)
    worst.save(model, folder)
    return answers


def _ask_elsewhere(
    model: Model, data: ExternalData, here: list[Prediction], config: EvaluatorConfig, folder: Path
) -> External:
    """Return the measures of an external data set; its single answers are kept in a folder of its name."""
    files = sorted(Path(data.folder).glob("*/*.tfrecord.gz"))
    left_out = frozenset(data.copies)
    found = [one for one, _ in predictions.predict(model, files) if one.image_name not in left_out]
    own = folder / EXTERNAL / data.name
    own.mkdir(parents=True, exist_ok=True)
    predictions.save(found, own)
    return measured.external(data, found, here, config)


def _probabilities(model_uri: str, files: list[Path]) -> list[Prediction]:
    model = Model(Path(path_utils.serving_model_path(model_uri)))
    return [prediction for prediction, _ in predictions.predict(model, files, estimate=False)]


def _version(model_uri: str) -> str:
    facts = read_json(Path(path_utils.serving_model_path(model_uri)) / FACTS) or {}
    return str(facts.get(MODEL_VERSION, ""))


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """The Evaluator's artifacts; the parameters are ours."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads the class attribute
        "gate_config": ExecutionParameter(type=str),
        RUN_KEY: ExecutionParameter(type=str),
    }


class Evaluator(TfxEvaluator):
    """Measures a model on `test` overall and by slice, and blesses it or not."""

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, *, examples: Any, model: Any, baseline_model: Any, config: EvaluatorConfig, run_key: str
    ) -> None:
        missing = [data.name for data in config.external if not data.folder]
        if missing:
            raise UsageError(
                f"evaluator.external: {', '.join(missing)} was not made ready; external data sets are measured by "
                "`melanosizer run` on this machine: leave them out of a cluster's preset"
            )
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            gate_config=config.model_dump_json(),
            run_key=run_key,
            evaluation=Channel(type=standard_artifacts.ModelEvaluation),
            blessing=Channel(type=standard_artifacts.ModelBlessing),
        )
        # TFX's own constructor builds the unextended spec: go straight to the base's.
        base_beam_component.BaseBeamComponent.__init__(self, spec=spec)
