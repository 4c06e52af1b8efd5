"""TFX's Evaluator with our configuration and our executor."""

from __future__ import annotations

from typing import Any

from tfx.components.evaluator.component import Evaluator as TfxEvaluator
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ExecutionParameter
from tfx.utils import json_utils

from components.evaluator import eval_config, executor
from components.evaluator.baseline import RUN_KEY
from components.evaluator.config import EvaluatorConfig


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """The Evaluator's interface with the gate's limits added."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads the class attribute
        **standard_component_specs.EvaluatorSpec.PARAMETERS,
        "gate_config": ExecutionParameter(type=str),
        RUN_KEY: ExecutionParameter(type=str),
    }


class Evaluator(TfxEvaluator):
    """Measures a model on `test` overall and by slice, and blesses it or not."""

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        *,
        examples: Any,
        model: Any,
        baseline_model: Any,
        schema: Any,
        config: EvaluatorConfig,
        run_key: str,
    ) -> None:
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            schema=schema,
            eval_config=eval_config.build(config),
            example_splits=json_utils.dumps([executor.TEST]),
            fairness_indicator_thresholds=json_utils.dumps(None),
            module_path="components.evaluator.extractors",
            gate_config=config.model_dump_json(),
            run_key=run_key,
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
        )
        # TFX's own constructor builds the unextended spec: go straight to the base's.
        base_beam_component.BaseBeamComponent.__init__(self, spec=spec)
