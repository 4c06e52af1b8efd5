"""Rewrites TFX's compiled pipeline into one that open-source Kubeflow Pipelines and Vertex AI run.

Both get: parameters of the run in place of marks, a first step that looks up what the caches depend on, our
resolvers as container steps, resources, retries and caching. Kubeflow alone gets: ids Argo takes, no
lifecycle hook (it ignores them), and a second document with what is Kubernetes' own.
"""

from __future__ import annotations

import json
import re
from typing import Any

from core.registry.rollout import SERVERS, SETTLE_SECONDS
from pipeline.targets.kubeflow import templates
from pipeline.targets.kubeflow.cluster import Cluster, Place, Volume

Spec = dict[str, Any]
COMMAND = ("python", "-m", "pipeline.targets.kubeflow.entrypoint")
LOOK_UP = "look-up"
ENTRYPOINT = COMMAND[-1]
# They change the served folder, which no cache key knows, or look at it.
NEVER_CACHED = frozenset({LOOK_UP, "Pusher", "registry"})
# Both replace this constant by the run's id, when it stands alone.
RUN_ID_CONSTANT = "{{$.pipeline_job_uuid}}"
_RUNTIME_INPUTS = (templates.DATA, templates.WORKSPACE, templates.PRESET)


def portable(job: Spec, queries: dict[str, Spec], *, image: str, cluster: Cluster, preset: str) -> None:
    """Rewrite ``job``, in place, into what both targets run."""
    spec: Spec = job["pipelineSpec"]
    tasks, components = spec["root"]["dag"]["tasks"], spec["components"]
    executors = spec["deploymentSpec"]["executors"]
    spec["root"]["inputDefinitions"] = {
        "parameters": {
            name: {"parameterType": "STRING", "defaultValue": value, "description": description}
            for name, value, description in (
                (templates.DATA, cluster.data, "the ingested data set's folder, as the containers see it"),
                (templates.WORKSPACE, cluster.workspace, "the folder of served models and the registry"),
                (templates.PRESET, preset, "the configuration's name, for the records"),
            )
        }
    }
    _add_look_up(tasks, components, executors, queries, image)
    for step, task in tasks.items():
        container = executors[components[task["componentRef"]["name"]]["executorLabel"]]["container"]
        if ENTRYPOINT in container.get("command", ()):
            container["args"][:0] = ["--node_id", step]
        _give_parameters(step, task, components[step])
        task["cachingOptions"] = {} if step in NEVER_CACHED else {"enableCache": True}
        place = cluster.place(step)
        container["resources"] = _resources(place)
        if place.retries:
            task["retryPolicy"] = {
                "maxRetryCount": place.retries,
                "backoffDuration": f"{place.retry_seconds}s",
                "backoffFactor": 2.0,
                # As KFP's SDK writes it. Left out, Argo is told 0: "Max duration limit exceeded", and no retry.
                "backoffMaxDuration": "3600s",
            }


def for_kubeflow(spec: Spec, cluster: Cluster) -> tuple[Spec, Spec]:
    """Return the pipeline spec and the platform document of open-source Kubeflow Pipelines."""
    result = renamed(spec)
    for executor in result["deploymentSpec"]["executors"].values():
        executor["container"].pop("lifecycle", None)
    if cluster.model_servers:
        result["deploymentSpec"]["executors"]["exec-registry"]["container"]["env"] = [
            {"name": SERVERS, "value": ",".join(cluster.model_servers)},
            {"name": SETTLE_SECONDS, "value": str(cluster.settle_seconds)},
        ]
    executors = {
        f"exec-{kebab(step)}": _kubernetes(cluster, cluster.place(step))
        for step in sorted(spec["components"])
    }
    return result, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _add_look_up(
    tasks: Spec, components: Spec, executors: Spec, queries: dict[str, Spec], image: str
) -> None:
    """Put a first step before all others, and make the resolvers steps that pass on what it found.

    It is never cached. What it finds are parameters and so part of the cache keys of those that take them: an
    artifact's key would be its number in the metadata store, another one each time somebody looks.
    """
    asked = {
        step: {
            **query,
            "types": {
                key: artifact["artifactType"]["instanceSchema"].split("\n")[0].removeprefix("title: ")
                for key, artifact in components[step]["outputDefinitions"]["artifacts"].items()
            },
        }
        for step, query in queries.items()
    }
    components[LOOK_UP] = {
        "executorLabel": f"{LOOK_UP}_executor",
        "inputDefinitions": {"parameters": {"queries": {"parameterType": "STRING"}}},
        "outputDefinitions": {
            "artifacts": {
                templates.PLACE: {
                    "artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
                }
            },
            "parameters": {
                name: {"parameterType": "STRING"} for name in (*templates.OF_DATA, *map(_output, queries))
            },
        },
    }
    tasks[LOOK_UP] = {
        "componentRef": {"name": LOOK_UP},
        "taskInfo": {"name": LOOK_UP},
        "inputs": {"parameters": {"queries": _constant(json.dumps(asked, sort_keys=True))}},
    }
    executors[f"{LOOK_UP}_executor"] = _own(image, "--look_up")
    for step in queries:
        components[step]["inputDefinitions"] = {"parameters": {"found": {"parameterType": "STRING"}}}
        tasks[step]["inputs"] = {"parameters": {"found": _output_of_look_up(_output(step))}}
        tasks[step]["dependentTasks"] = [LOOK_UP]
        executors[f"{step}_executor"] = _own(image, "--resolve")


def _give_parameters(step: str, task: Spec, component: Spec) -> None:
    """Give a step the run's values its constants mention, and the workspace, where its lineage goes."""
    inputs = task.setdefault("inputs", {}).setdefault("parameters", {})
    definitions = component.setdefault("inputDefinitions", {}).setdefault("parameters", {})
    # ExampleGen's result depends on files that no key of the cache knows; this one stands for them.
    needed = {templates.WORKSPACE} | ({templates.DATA_VERSION} if step == "ImportExampleGen" else set())
    if step == LOOK_UP:
        needed |= {templates.DATA, templates.RUN_ID}
    for name, value in list(inputs.items()):
        text = value.get("runtimeValue", {}).get("constant")
        if not isinstance(text, str):
            continue
        text = text.replace(templates.schemas_folder(), templates.mark(templates.SCHEMAS))
        marks = templates.mentioned(text) - {templates.SCHEMAS}
        alone = next((one for one in marks if text == templates.mark(one)), None)
        inputs[name] = _source(alone) if alone else _constant(text)
        needed |= marks - {alone}
    if step == "registry":
        inputs["preset"] = _source(templates.PRESET)
    # A step that looks its own version of the data up cannot be given it.
    needed -= set(templates.OF_DATA) if step == LOOK_UP else set()
    for name in sorted(needed):
        inputs[templates.PREFIX + name] = _source(name)
        definitions[templates.PREFIX + name] = {"parameterType": "STRING"}
    producers = {
        item["taskOutputParameter"]["producerTask"]
        for item in inputs.values()
        if "taskOutputParameter" in item
    }
    task["dependentTasks"] = sorted({*task.get("dependentTasks", ()), *producers})


def _source(name: str) -> Spec:
    if name in _RUNTIME_INPUTS:
        return {"componentInputParameter": name}
    return _constant(RUN_ID_CONSTANT) if name == templates.RUN_ID else _output_of_look_up(name)


def _constant(text: str) -> Spec:
    return {"runtimeValue": {"constant": text}}


def _output_of_look_up(key: str) -> Spec:
    return {"taskOutputParameter": {"producerTask": LOOK_UP, "outputParameterKey": key}}


def _output(step: str) -> str:
    return step.replace("-", "_")


def _own(image: str, flag: str) -> Spec:
    return {
        "container": {
            "image": image,
            "command": list(COMMAND),
            "args": [flag, "--json_serialized_invocation_args", "{{$}}"],
        }
    }


def _resources(place: Place) -> Spec:
    result: Spec = {
        "resourceCpuRequest": place.cpu_request,
        "resourceCpuLimit": place.cpu_limit,
        "resourceMemoryRequest": place.memory_request,
        "resourceMemoryLimit": place.memory_limit,
        # Vertex reads numbers: cores, and gigabytes.
        "cpuLimit": _number(place.cpu_limit),
        "memoryLimit": round(_number(place.memory_limit) / 1e9, 3),
    }
    if place.accelerators:
        result["accelerator"] = {
            "resourceType": place.accelerator,
            "resourceCount": str(place.accelerators),
            "type": place.accelerator,
            "count": str(place.accelerators),
        }
    return result


_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGT", 1)}


def _number(quantity: str) -> float:
    unit = quantity.lstrip("0123456789.")
    return float(quantity.removesuffix(unit)) * _UNITS[unit]


def _kubernetes(cluster: Cluster, place: Place) -> Spec:
    result: Spec = {
        # KFP leaves it off the containers of users: without, none is admitted under "restricted".
        "securityContext": {
            "runAsUser": str(cluster.run_as),
            "runAsGroup": str(cluster.run_as),
            "runAsNonRoot": True,
        },
        "pvcMount": [_mount(volume) for volume in cluster.volumes],
        "secretAsEnv": [
            {
                "secretNameParameter": _constant(item.secret),
                "keyToEnv": [{"secretKey": item.key, "envVar": item.variable}],
            }
            for item in cluster.secrets
        ],
        "imagePullSecret": [{"secretNameParameter": _constant(name)} for name in cluster.image_pull_secrets],
        "nodeSelector": {"labels": dict(place.node_selector)} if place.node_selector else {},
        "tolerations": [item.model_dump() for item in place.tolerations],
    }
    return {key: value for key, value in result.items() if value}


def _mount(volume: Volume) -> Spec:
    result: Spec = {"mountPath": volume.path, "pvcNameParameter": _constant(volume.claim)}
    if volume.sub_path:
        result["subPath"] = volume.sub_path
    return result


def kebab(step: str) -> str:
    """`ImportExampleGen` -> `import-example-gen`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", step).replace("_", "-").lower()


def renamed(spec: Spec) -> Spec:
    """Return the spec with task, component and executor ids that Argo and Kubernetes take as they are."""
    result = {
        key: value for key, value in spec.items() if key not in {"components", "deploymentSpec", "root"}
    }
    result["components"] = {
        f"comp-{kebab(name)}": {**component, "executorLabel": f"exec-{kebab(name)}"}
        for name, component in spec["components"].items()
    }
    result["deploymentSpec"] = {
        "executors": {
            f"exec-{kebab(label.removesuffix('_executor'))}": executor
            for label, executor in spec["deploymentSpec"]["executors"].items()
        }
    }
    tasks = {kebab(name): _renamed_task(task) for name, task in spec["root"]["dag"]["tasks"].items()}
    result["root"] = {**spec["root"], "dag": {"tasks": tasks}}
    return result


def _renamed_task(task: Spec) -> Spec:
    name = kebab(task["taskInfo"]["name"])
    inputs: dict[str, Any] = {
        kind: {key: _renamed_producer(value) for key, value in values.items()}
        for kind, values in task.get("inputs", {}).items()
    }
    return {
        **task,
        "taskInfo": {"name": name},
        "componentRef": {"name": f"comp-{name}"},
        "inputs": inputs,
        "dependentTasks": sorted(map(kebab, task.get("dependentTasks", ()))),
    }


def _renamed_producer(value: Spec) -> Spec:
    return {
        kind: {**source, "producerTask": kebab(source["producerTask"])}
        if isinstance(source, dict) and "producerTask" in source
        else source
        for kind, source in value.items()
    }
