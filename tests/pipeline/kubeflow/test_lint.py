"""Each rule finds what it is for, on a pipeline that is otherwise sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.targets.kubeflow import lint

Spec = dict[str, Any]
Break = Callable[[Spec], object]


def _task(spec: Spec, name: str) -> Spec:
    return spec["root"]["dag"]["tasks"][name]


def _container(spec: Spec, name: str) -> Spec:
    return spec["deploymentSpec"]["executors"][f"exec-{name}"]


BREAKS: dict[str, tuple[Break, str]] = {
    "schema version": (lambda s: s.update(schemaVersion="2.0.0"), "is 2.0.0, must be 2.1.0"),
    "resolver": (
        lambda s: s["deploymentSpec"]["executors"].update({"exec-pusher": {"resolver": {}}}),
        "exec-pusher is resolver, must be container",
    ),
    "lifecycle": (
        lambda s: _container(s, "pusher")["container"].update(lifecycle={"preCacheCheck": {}}),
        "exec-pusher has a lifecycle hook",
    ),
    "image": (lambda s: _container(s, "pusher")["container"].pop("image"), "exec-pusher has no image"),
    "underscore": (lambda s: s["pipelineInfo"].update(name="my_pipeline"), "'my_pipeline' is not a name"),
    "component": (
        lambda s: _task(s, "pusher")["componentRef"].update(name="comp-none"),
        "pusher: there is no component comp-none",
    ),
    "executor": (
        lambda s: s["components"]["comp-pusher"].update(executorLabel="exec-none"),
        "pusher: there is no executor exec-none",
    ),
    "producer": (
        lambda s: _task(s, "pusher")["inputs"]["artifacts"]["model"]["taskOutputArtifact"].update(
            producerTask="transform"
        ),
        "pusher takes model of transform, which has no such output",
    ),
    "waiting": (
        lambda s: _task(s, "pusher")["dependentTasks"].remove("trainer"),
        "takes model of trainer and does not wait for it",
    ),
    "waits for none": (
        lambda s: _task(s, "pusher")["dependentTasks"].append("none"),
        "pusher waits for none, which does not exist",
    ),
    "missing input": (
        lambda s: _task(s, "class-balance")["inputs"]["parameters"].pop("config"),
        "class-balance: parameters config has no value",
    ),
    "undeclared input": (
        lambda s: _task(s, "class-balance")["inputs"]["parameters"].update(
            more={"runtimeValue": {"constant": "1"}}
        ),
        "class-balance: parameters more is not declared",
    ),
    "runtime parameter": (
        lambda s: _task(s, "class-balance")["inputs"]["parameters"].update(
            config={"runtimeValue": {"runtimeParameter": "config"}}
        ),
        "class-balance.config is runtimeParameter, must be a constant",
    ),
    "pipeline parameter": (
        lambda s: s["root"]["inputDefinitions"]["parameters"].pop("data"),
        "the pipeline has no parameter data",
    ),
    "placeholder in text": (
        lambda s: _task(s, "class-balance")["inputs"]["parameters"].update(
            config={"runtimeValue": {"constant": "run {{$.pipeline_job_uuid}}"}}
        ),
        "class-balance.config holds a placeholder among other text",
    ),
    "mark without value": (
        lambda s: _task(s, "class-balance")["inputs"]["parameters"].update(
            config={"runtimeValue": {"constant": "@run_id@"}}
        ),
        "class-balance.config mentions @run_id@, which the task is not given",
    ),
    "a retry without a maximum": (
        lambda s: _task(s, "statistics-gen")["retryPolicy"].pop("backoffMaxDuration"),
        "statistics-gen has no backoffMaxDuration: it is never retried",
    ),
    "this machine": (
        lambda s: _task(s, "import-schema-gen")["inputs"]["parameters"].update(
            schema_file={"runtimeValue": {"constant": f"{lint.templates.schemas_folder()}/x"}}
        ),
        "a folder of this machine",
    ),
    "unknown field": (lambda s: s.update(surplus=1), "not a PipelineSpec"),
    "unknown field of a container": (
        lambda s: _container(s, "pusher")["container"].update(surplus=1),
        "not a PipelineSpec",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_pipeline_is_told(name: str, spec: Spec) -> None:
    damage, message = BREAKS[name]
    damage(spec)
    assert any(message in fault for fault in lint.check(spec)), lint.check(spec)


def test_what_the_rules_are_is_listed() -> None:
    names = [rule.__name__.removeprefix("_") for rule in lint.RULES]
    assert names == [
        "schema_version", "executor_kinds", "names", "references", "inputs", "constants", "retries",
        "local_files",
    ]  # fmt: skip
