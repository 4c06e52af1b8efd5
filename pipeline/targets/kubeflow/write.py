"""Writes the compiled pipeline: YAML for Kubeflow Pipelines, a PipelineJob in JSON for Vertex AI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import RunConfig
from pipeline.targets.kubeflow import compiled, rewrite
from pipeline.targets.kubeflow.cluster import Cluster, check_steps

Spec = dict[str, Any]


def kubeflow(config: RunConfig, *, image: str, preset: str, cluster: Cluster) -> list[Spec]:
    """Return the two documents Kubeflow Pipelines takes: the pipeline spec and the platform's part."""
    job, queries = compiled.job(config, image=image, preset=preset)
    check_steps(cluster, job["pipelineSpec"]["components"])
    spec = rewrite.portable(job, queries, image=image, cluster=cluster, preset=preset)
    return list(rewrite.for_kubeflow(spec, cluster))


def vertex(config: RunConfig, *, image: str, preset: str, cluster: Cluster) -> Spec:
    """Return the PipelineJob Vertex AI takes, its values those of the cluster's description."""
    job, queries = compiled.job(config, image=image, preset=preset)
    check_steps(cluster, job["pipelineSpec"]["components"])
    rewrite.portable(job, queries, image=image, cluster=cluster, preset=preset)
    job["runtimeConfig"] = {}
    return job


def save(documents: list[Spec], path: Path, command: str) -> None:
    """Write YAML documents, with the command that made them on the first line; `.json` holds one in JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(documents[0], indent=2, sort_keys=True) + "\n")
        return
    with path.open("w") as stream:
        stream.write(f"# {command}\n")
        yaml.safe_dump_all(documents, stream, sort_keys=True, width=110)
