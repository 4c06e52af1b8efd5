"""Checks a compiled pipeline against what open-source Kubeflow Pipelines takes, before a cluster says no.

Each rule is a function that yields what is wrong; where KFP's source says why, it names the file
(kubeflow/pipelines, backend/src/v2 unless said otherwise).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.targets.kubeflow import templates
from pipeline.targets.kubeflow.rewrite import RUN_ID_CONSTANT

Spec = dict[str, Any]
Rule = Callable[[Spec], Iterator[str]]
SCHEMA_VERSION = "2.1.0"
# RFC 1123, as Kubernetes wants the names of pods; Argo builds theirs from the tasks'.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
RULES: list[Rule] = []


def check(spec: Spec) -> list[str]:
    """Return everything that is wrong with a compiled pipeline; nothing when it is fit."""
    wrong = [f"not a PipelineSpec: {problem}" for problem in strictly_parsed(spec)]
    return wrong or [f"{rule.__name__.removeprefix('_')}: {text}" for rule in RULES for text in rule(spec)]


def strictly_parsed(spec: Spec) -> Iterator[str]:
    """Parse as the API server does, which takes no unknown field, and the deployment by itself besides."""
    for content, message in (
        (spec, pipeline_spec_pb2.PipelineSpec()),
        (spec.get("deploymentSpec", {}), pipeline_spec_pb2.PipelineDeploymentConfig()),
    ):
        try:
            json_format.ParseDict(content, message)
        except json_format.ParseError as problem:
            yield str(problem)


def _rule(function: Rule) -> Rule:
    RULES.append(function)
    return function


@_rule
def _schema_version(spec: Spec) -> Iterator[str]:
    """The API server takes this one alone (backend/src/apiserver/template)."""
    if spec.get("schemaVersion") != SCHEMA_VERSION:
        yield f"is {spec.get('schemaVersion')}, must be {SCHEMA_VERSION}"


@_rule
def _executor_kinds(spec: Spec) -> Iterator[str]:
    """compiler/visitor.go: non-container and non-importer executor not implemented."""
    for label, executor in spec["deploymentSpec"]["executors"].items():
        if set(executor) != {"container"}:
            yield f"{label} is {', '.join(executor) or 'empty'}, must be container"
        elif "lifecycle" in executor["container"]:
            yield f"{label} has a lifecycle hook, which KFP ignores"
        elif not executor["container"].get("image"):
            yield f"{label} has no image"


@_rule
def _names(spec: Spec) -> Iterator[str]:
    """compiler/argocompiler/argo.go; the pipeline's name becomes a part of its pods' names, too."""
    names = [spec["pipelineInfo"]["name"], *spec["root"]["dag"]["tasks"], *spec["components"]]
    names += list(spec["deploymentSpec"]["executors"])
    for name in names:
        if not NAME.fullmatch(name):
            yield f"{name!r} is not a name for Argo: lower case letters, digits and hyphens, at most 63"


@_rule
def _references(spec: Spec) -> Iterator[str]:
    """Every name that is referred to exists, and every task waits for those it takes something from."""
    tasks, components = spec["root"]["dag"]["tasks"], spec["components"]
    for name, task in tasks.items():
        component = components.get(task["componentRef"]["name"])
        if component is None:
            yield f"{name}: there is no component {task['componentRef']['name']}"
            continue
        if component.get("executorLabel") not in spec["deploymentSpec"]["executors"]:
            yield f"{name}: there is no executor {component.get('executorLabel')}"
        waits = set(task.get("dependentTasks", ()))
        yield from (f"{name} waits for {other}, which does not exist" for other in sorted(waits - set(tasks)))
        for kind, source in _sources(task):
            producer, key = source["producerTask"], source[f"output{kind}Key"]
            made = components.get(tasks.get(producer, {}).get("componentRef", {}).get("name"), {})
            if key not in made.get("outputDefinitions", {}).get(f"{kind.lower()}s", {}):
                yield f"{name} takes {key} of {producer}, which has no such output"
            if producer not in waits:
                yield f"{name} takes {key} of {producer} and does not wait for it"


@_rule
def _inputs(spec: Spec) -> Iterator[str]:
    """driver/resolve.go: every declared input has a value, and no other is given."""
    for name, task in spec["root"]["dag"]["tasks"].items():
        definitions = spec["components"].get(task["componentRef"]["name"], {}).get("inputDefinitions", {})
        for kind in ("parameters", "artifacts"):
            given, declared = set(task.get("inputs", {}).get(kind, {})), set(definitions.get(kind, {}))
            yield from (f"{name}: {kind} {key} has no value" for key in sorted(declared - given))
            yield from (f"{name}: {kind} {key} is not declared" for key in sorted(given - declared))


@_rule
def _constants(spec: Spec) -> Iterator[str]:
    """driver/resolve.go: a runtime value is a constant; a placeholder is replaced only when it stands alone."""
    parameters = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, task in spec["root"]["dag"]["tasks"].items():
        given = task.get("inputs", {}).get("parameters", {})
        for key, value in given.items():
            where = f"{name}.{key}"
            if "componentInputParameter" in value and value["componentInputParameter"] not in parameters:
                yield f"{where}: the pipeline has no parameter {value['componentInputParameter']}"
            if "runtimeValue" not in value:
                continue
            if set(value["runtimeValue"]) != {"constant"}:
                yield f"{where} is {', '.join(value['runtimeValue'])}, must be a constant"
                continue
            text = value["runtimeValue"]["constant"]
            if isinstance(text, str) and "{{" in text and text != RUN_ID_CONSTANT:
                yield f"{where} holds a placeholder among other text, which nobody replaces"
            if isinstance(text, str):
                known = {templates.SCHEMAS, templates.DATA_VERSION if key == "queries" else ""}
                known |= {item.removeprefix(templates.PREFIX) for item in given}
                missing = templates.mentioned(text) - known
                yield from (
                    f"{where} mentions {templates.mark(item)}, which the task is not given"
                    for item in missing
                )


@_rule
def _retries(spec: Spec) -> Iterator[str]:
    """compiler/argocompiler/dag.go: a backoff's maximum that is left out becomes 0, which ends retries at once."""
    for name, task in spec["root"]["dag"]["tasks"].items():
        policy = task.get("retryPolicy")
        if policy and not str(policy.get("backoffMaxDuration", "0s")).rstrip("s").strip("0"):
            yield f"{name} has no backoffMaxDuration: it is never retried"


@_rule
def _local_files(spec: Spec) -> Iterator[str]:
    """A path of the machine that compiled is no use in a container."""
    folder = templates.schemas_folder()
    for name, task in spec["root"]["dag"]["tasks"].items():
        for key, value in task.get("inputs", {}).get("parameters", {}).items():
            if folder in str(value.get("runtimeValue", {}).get("constant", "")):
                yield f"{name}.{key} names {folder}, a folder of this machine"


def _sources(task: Spec) -> Iterator[tuple[str, Spec]]:
    inputs = task.get("inputs", {})
    for value in inputs.get("artifacts", {}).values():
        if "taskOutputArtifact" in value:
            yield "Artifact", value["taskOutputArtifact"]
    for value in inputs.get("parameters", {}).values():
        if "taskOutputParameter" in value:
            yield "Parameter", value["taskOutputParameter"]
