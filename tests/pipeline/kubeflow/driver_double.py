"""What KFP's driver does before a task's container starts, and what its metadata store keeps.

Read in kubeflow/pipelines, backend/src/v2: driver/{container,resolve,cache,driver}.go, cacheutils/cache.go,
metadata/{client,converter}.go.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

Message = dict[str, Any]
OUTPUT_FILE = "/tmp/kfp_outputs/output_metadata.json"
OUTPUT_PARAMETERS = "/tmp/kfp/outputs"


@dataclass
class Execution:
    """One finished task."""

    parameters: dict[str, Any]
    artifacts: dict[str, Message]


@dataclass
class MetadataStore:
    """Artifacts by number, and the cache. Types are not kept with an artifact that is read back."""

    artifacts: dict[int, Message] = field(default_factory=dict)
    cache: dict[str, Execution] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def record(self, artifact: Message) -> int:
        """Keep an output artifact and return its number.

        Raises:
            ValueError: metadata that MLMD cannot hold.
        """
        number = next(self._numbers)
        properties = {key: _stored(key, value) for key, value in artifact.get("metadata", {}).items()}
        self.artifacts[number] = {"uri": artifact["uri"], "metadata": properties}
        return number

    def runtime_artifact(self, number: int) -> Message:
        """Return an artifact as a later task's input: a numeric name, and no type."""
        kept = self.artifacts[number]
        return {
            "name": str(number),
            "type": {"instanceSchema": ""},
            "uri": kept["uri"],
            "metadata": kept["metadata"],
        }


@dataclass
class Driver:
    """Prepares the tasks of one run."""

    spec: Message
    platform: Message
    store: MetadataStore
    run_id: str
    root: str
    parameters: dict[str, Any]
    done: dict[str, Execution] = field(default_factory=dict)

    def order(self) -> list[str]:
        """Return the tasks so that each comes after those it waits for."""
        tasks = self.spec["root"]["dag"]["tasks"]
        ordered: list[str] = []
        while len(ordered) < len(tasks):
            ready = [
                name
                for name, task in sorted(tasks.items())
                if name not in ordered and set(task.get("dependentTasks", ())) <= set(ordered)
            ]
            if not ready:
                raise ValueError(f"tasks wait for one another: {sorted(set(tasks) - set(ordered))}")
            ordered.extend(ready)
        return ordered

    def executor_input(self, name: str) -> Message:
        """Return what the task is told; it must be a valid ExecutorInput."""
        task, component = self.task(name), self.component(name)
        inputs: Message = {"parameterValues": {}, "artifacts": {}}
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            inputs["parameterValues"][key] = self._parameter(source)
        for key in component.get("inputDefinitions", {}).get("parameters", {}):
            if key not in inputs["parameterValues"]:
                raise ValueError(f"{name}: neither value nor default value provided for parameter {key}")
        for key, source in task.get("inputs", {}).get("artifacts", {}).items():
            output = source["taskOutputArtifact"]
            artifact = self.done[output["producerTask"]].artifacts[output["outputArtifactKey"]]
            inputs["artifacts"][key] = {"artifacts": [artifact]}
        result = {"inputs": inputs, "outputs": self._outputs(name, component)}
        json_format.ParseDict(result, pipeline_spec_pb2.ExecutorInput())
        return result

    def cache_key(self, name: str, executor_input: Message) -> str | None:
        """Return the task's cache key; None where it asks for none."""
        if not self.task(name).get("cachingOptions", {}).get("enableCache"):
            return None
        container = self.container(name)
        outputs = executor_input["outputs"]
        key = {
            "containerSpec": {
                "image": container["image"],
                "cmdArgs": [*container["command"], *container["args"]],
                "pvcNames": sorted(self.claims(name)),
            },
            "inputArtifactNames": {
                item: [one["name"] for one in listed["artifacts"]]
                for item, listed in executor_input["inputs"]["artifacts"].items()
            },
            "inputParameterValues": executor_input["inputs"]["parameterValues"],
            "outputArtifactsSpec": {
                item: {k: v for k, v in listed["artifacts"][0].items() if k in {"name", "type", "metadata"}}
                for item, listed in outputs["artifacts"].items()
            },
            "outputParametersSpec": {
                item: self.component(name)["outputDefinitions"]["parameters"][item]["parameterType"]
                for item in outputs["parameters"]
            },
        }
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()

    def task(self, name: str) -> Message:
        """Return a task of the compiled pipeline."""
        return self.spec["root"]["dag"]["tasks"][name]

    def component(self, name: str) -> Message:
        """Return a task's component."""
        return self.spec["components"][self.task(name)["componentRef"]["name"]]

    def container(self, name: str) -> Message:
        """Return a task's container."""
        return self.spec["deploymentSpec"]["executors"][self.component(name)["executorLabel"]]["container"]

    def claims(self, name: str) -> dict[str, str]:
        """Return the claims a task mounts, with their paths."""
        executors = self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        mounts = executors[self.component(name)["executorLabel"]]["pvcMount"]
        return {item["pvcNameParameter"]["runtimeValue"]["constant"]: item["mountPath"] for item in mounts}

    def attempts(self, name: str) -> int:
        """Return how often the task is tried.

        KFP's compiler passes a missing `backoffMaxDuration` on as 0 (backend/src/v2/compiler/argocompiler/dag.go),
        and Argo ends the retries of a node after so long: "Max duration limit exceeded" (workflow/controller/
        operator.go, processNodeRetries).
        """
        policy = self.task(name).get("retryPolicy", {})
        longest = float(policy.get("backoffMaxDuration", "0s").removesuffix("s"))
        return 1 + (int(policy.get("maxRetryCount", 0)) if longest > 0 else 0)

    def pod(self, name: str) -> Message:
        """Return the pod of a task as Argo makes it of KFP's template, as far as an API server looks at it.

        KFP (backend/src/v2/driver/k8s.go, extendPodSpecPatch) gives the container of the user the security context
        of the platform document, without privileges and capabilities but without runAsNonRoot of its own; its own
        containers have all that "restricted" asks for (argocompiler/container.go).
        """
        platform = self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        executor = platform[self.component(name)["executorLabel"]]
        asked = executor.get("securityContext", {})
        restricted = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        context = {key: int(value) if key != "runAsNonRoot" else value for key, value in asked.items()}
        own = {**restricted, "runAsNonRoot": True, "runAsUser": 8737}
        claims = executor["pvcMount"]
        container = self.container(name)
        resources = container["resources"]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"workflows.argoproj.io/workflow": "melanosizer"}},
            "spec": {
                "serviceAccountName": "melanosizer-pipeline",
                "restartPolicy": "Never",
                "initContainers": [
                    {"name": "init", "image": "quay.io/argoproj/argoexec:v4.0.5", "securityContext": own},
                    {
                        "name": "kfp-launcher",
                        "image": "ghcr.io/kubeflow/kfp-launcher:2.17.0",
                        "securityContext": own,
                    },
                ],
                "containers": [
                    {"name": "wait", "image": "quay.io/argoproj/argoexec:v4.0.5", "securityContext": own},
                    {
                        "name": "main",
                        "image": container["image"],
                        "command": container["command"],
                        "env": container.get("env", []),
                        "securityContext": {**restricted, **context},
                        "resources": {
                            side: {
                                "cpu": resources[f"resourceCpu{kind}"],
                                "memory": resources[f"resourceMemory{kind}"],
                            }
                            for side, kind in (("requests", "Request"), ("limits", "Limit"))
                        },
                        "volumeMounts": [
                            {"name": f"claim-{number}", "mountPath": one["mountPath"]}
                            for number, one in enumerate(claims)
                        ],
                    },
                ],
                "nodeSelector": executor.get("nodeSelector", {}).get("labels", {}),
                "volumes": [
                    {
                        "name": f"claim-{number}",
                        "persistentVolumeClaim": {
                            "claimName": one["pvcNameParameter"]["runtimeValue"]["constant"]
                        },
                    }
                    for number, one in enumerate(claims)
                ],
            },
        }

    def _parameter(self, source: Message) -> Any:
        if "componentInputParameter" in source:
            name = source["componentInputParameter"]
            definition = self.spec["root"]["inputDefinitions"]["parameters"][name]
            return self.parameters.get(name, definition.get("defaultValue"))
        if "taskOutputParameter" in source:
            output = source["taskOutputParameter"]
            return self.done[output["producerTask"]].parameters[output["outputParameterKey"]]
        constant = source["runtimeValue"]["constant"]
        return self.run_id if constant == "{{$.pipeline_job_uuid}}" else constant

    def _outputs(self, name: str, component: Message) -> Message:
        salt = uuid.uuid4()
        pipeline = self.spec["pipelineInfo"]["name"]
        definitions = component.get("outputDefinitions", {})
        artifacts = {
            # publishLogs puts this in every task's outputs.
            "executor-logs": {"artifactType": {"schemaTitle": "system.Artifact"}},
            **definitions.get("artifacts", {}),
        }
        return {
            "artifacts": {
                key: {
                    "artifacts": [
                        {
                            "type": item["artifactType"],
                            "uri": f"{self.root}/{pipeline}/{self.run_id}/{name}/{salt}/{key}",
                        }
                    ]
                }
                for key, item in artifacts.items()
            },
            "parameters": {
                key: {"outputFile": f"{OUTPUT_PARAMETERS}/{key}"} for key in definitions.get("parameters", {})
            },
            "outputFile": OUTPUT_FILE,
        }


def _stored(key: str, value: Any) -> Any:
    """Return a metadata value as MLMD gives it back (structValueToMLMDValue and the way back)."""
    if value is None:
        raise ValueError(f"metadata {key}: unknown/unsupported value type NullValue")
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    if isinstance(value, dict):
        return {"struct": value}
    return float(value) if isinstance(value, int) else value
