"""From the one DAG to TFX's own compiled form, before anything of ours touches it."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies import latest_artifact_strategy
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.utils import name_utils

from pipeline.config import RunConfig
from pipeline.dag import ClassifierSteps, Locations, create_pipeline
from pipeline.targets.kubeflow import templates

COMMAND = ("python", "-m", "pipeline.targets.kubeflow.entrypoint")

Spec = dict[str, Any]


def locations(preset: str) -> Locations:
    """Return marks for all that only the run knows; the pipeline root is given when it is submitted."""
    workspace = templates.mark(templates.WORKSPACE)
    return Locations(
        data=templates.mark(templates.DATA),
        data_version=templates.mark(templates.DATA_VERSION),
        spans=templates.mark(templates.SPANS),
        grown_from=templates.mark(templates.GROWN_FROM),
        artifacts="",
        workspace=workspace,
        cache=f"{workspace}/cache",
        metadata=None,
        run_id=templates.mark(templates.RUN_ID),
        preset=preset,
    )


def job(config: RunConfig, *, image: str, preset: str) -> tuple[Spec, dict[str, Spec]]:
    """Return the PipelineJob TFX makes, and what each resolver was to look for.

    TFX's compiler knows two resolver strategies and refuses ours; each of our resolvers stands in it as the
    simpler of the two and comes back beside it as ``{step: {strategy, config}}``.
    """
    pipeline = create_pipeline(ClassifierSteps(config), locations(preset))
    queries = {}
    for node in pipeline.components:
        if isinstance(node, resolver.Resolver):
            properties = node.exec_properties
            queries[node.id] = {
                "strategy": name_utils.get_full_name(properties[resolver.RESOLVER_STRATEGY_CLASS]),
                "config": properties[resolver.RESOLVER_CONFIG],
            }
            node._strategy_class = latest_artifact_strategy.LatestArtifactStrategy
            node._config = {}
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
            default_image=image, default_commands=list(COMMAND), use_pipeline_spec_2_1=True
        )
    )
    return runner.run(pipeline, write_out=False), queries
