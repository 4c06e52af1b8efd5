"""Compiles the one DAG for a cluster and writes it: YAML for Kubeflow Pipelines, a PipelineJob in JSON for Vertex AI."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies import latest_artifact_strategy
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.utils import name_utils

from pipeline.config import RunConfig
from pipeline.dag import ClassifierSteps, Locations, create_pipeline
from pipeline.targets.kubeflow import rewrite, templates
from pipeline.targets.kubeflow.cluster import Cluster, check_steps
from pipeline.targets.kubeflow.rewrite import COMMAND, Spec


def kubeflow(config: RunConfig, *, image: str, preset: str, cluster: Cluster) -> list[Spec]:
    """Return the two documents Kubeflow Pipelines takes: the pipeline spec and the platform's part."""
    job = _portable(config, image, preset, cluster)
    return list(rewrite.for_kubeflow(job["pipelineSpec"], cluster))


def vertex(config: RunConfig, *, image: str, preset: str, cluster: Cluster) -> Spec:
    """Return the PipelineJob Vertex AI takes, its values those of the cluster's description."""
    return {**_portable(config, image, preset, cluster), "runtimeConfig": {}}


def save(documents: list[Spec], path: Path, command: str) -> None:
    """Write YAML documents, with the command that made them on the first line; `.json` holds one in JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(documents[0], indent=2, sort_keys=True) + "\n")
        return
    with path.open("w") as stream:
        stream.write(f"# {command}\n")
        yaml.safe_dump_all(documents, stream, sort_keys=True, width=110)


def _locations(preset: str) -> Locations:
    """Return marks for all that only the run knows; the pipeline root is given when it is submitted."""
    names = (templates.DATA, *templates.OF_DATA, templates.WORKSPACE, templates.RUN_ID)
    marks = {name: templates.mark(name) for name in names}
    cache = f"{marks[templates.WORKSPACE]}/cache"
    return Locations(**marks, artifacts="", cache=cache, metadata=None, preset=preset)


def _portable(config: RunConfig, image: str, preset: str, cluster: Cluster) -> Spec:
    """Return the PipelineJob TFX makes, rewritten into what both targets run.

    TFX's compiler knows two resolver strategies and refuses ours; each of our resolvers stands in it as the
    simpler of the two; what it was to look for is handed on as ``{step: {strategy, config}}``.
    """
    pipeline = create_pipeline(ClassifierSteps(config), _locations(preset))
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
    job: Spec = runner.run(pipeline, write_out=False)
    check_steps(cluster, job["pipelineSpec"]["components"])
    rewrite.portable(job, queries, image=image, cluster=cluster, preset=preset)
    return job
