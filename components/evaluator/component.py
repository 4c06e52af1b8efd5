"""The Evaluator: TFX's interface with our executor and our limits."""

from __future__ import annotations

from typing import Any

from tfx.components.evaluator.component import Evaluator as TfxEvaluator
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ExecutionParameter

from components.evaluator import executor
from components.evaluator.baseline import RUN_KEY
from components.evaluator.config import EvaluatorConfig
from core.errors import UsageError


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """The Evaluator's artifacts; the parameters are ours."""

    PARAMETERS = {  # noqa: RUF012 - TFX reads the class attribute
        "gate_config": ExecutionParameter(type=str),
        RUN_KEY: ExecutionParameter(type=str),
    }


class Evaluator(TfxEvaluator):
    """Measures a model on `test` overall and by slice, and blesses it or not."""

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

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
            evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
        )
        # TFX's own constructor builds the unextended spec: go straight to the base's.
        base_beam_component.BaseBeamComponent.__init__(self, spec=spec)
