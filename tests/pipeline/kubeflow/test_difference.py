"""The Vertex job and the Kubeflow file of one preset differ in what is listed here, and in nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.targets.kubeflow.rewrite import kebab, renamed

Spec = dict[str, Any]
# Vertex runs ExampleGen's driver by a hook; the parameters' defaults are places each target has.
DIFFERENCES = {
    "deploymentSpec.executors.exec-registry.container.env": "only Kubeflow",
    "deploymentSpec.executors.exec-import-example-gen.container.lifecycle": "only Vertex",
    "root.inputDefinitions.parameters.data.defaultValue": "/data, gs://bucket/data",
    "root.inputDefinitions.parameters.workspace.defaultValue": "/workspace, gs://bucket/workspace",
}


def test_the_specs_differ_in_ids_a_hook_and_places(spec: Spec, vertex_job: Spec) -> None:
    # The ids are the first difference: Argo takes no capitals.
    tasks = vertex_job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert {kebab(name) for name in tasks} == set(spec["root"]["dag"]["tasks"])
    assert {"ImportExampleGen", "Trainer"} <= set(tasks)
    assert dict(_differences(spec, renamed(vertex_job["pipelineSpec"]))) == DIFFERENCES


def test_vertex_wraps_the_spec_in_a_job(vertex_job: Spec) -> None:
    assert set(vertex_job) == {"pipelineSpec", "displayName", "labels", "runtimeConfig"}
    # The pipeline root is given when it is submitted.
    assert vertex_job["runtimeConfig"] == {}


def _differences(kubeflow: Any, vertex: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(kubeflow, dict) and isinstance(vertex, dict):
        for key in sorted({*kubeflow, *vertex}):
            below = f"{path}.{key}" if path else key
            if key not in vertex:
                yield below, "only Kubeflow"
            elif key not in kubeflow:
                yield below, "only Vertex"
            else:
                yield from _differences(kubeflow[key], vertex[key], below)
    elif kubeflow != vertex:
        yield path, f"{kubeflow}, {vertex}"
