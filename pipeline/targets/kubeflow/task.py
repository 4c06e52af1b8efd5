"""One task as the container is given it: the ExecutorInput, made fit for TFX, and the ExecutorOutput back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.targets.kubeflow import places, templates

Message = dict[str, Any]
# A resolver must hand on an artifact even when there is none; whoever takes it is told so by this.
FOUND = "found"
# The launcher's own, of a type TFX does not know.
LOGS = "executor-logs"


@dataclass
class Task:
    """The parts of an ExecutorInput, local and typed; nothing else of the container reads the raw one."""

    inputs: dict[str, Message]
    outputs: dict[str, Message]
    parameters: dict[str, Any]
    values: dict[str, str] = field(default_factory=dict)
    output_parameters: dict[str, str] = field(default_factory=dict)
    output_file: str = ""

    @classmethod
    def read(cls, executor_input: Message, inputs_spec: Message) -> Task:
        """Take KFP's ExecutorInput apart; the component's `inputDefinitions` say the types of inputs, which it loses."""
        given = executor_input.get("inputs", {})
        asked = executor_input.get("outputs", {})
        parameters = dict(given.get("parameterValues", {}))
        values = {
            name.removeprefix(templates.PREFIX): places.local(str(parameters.pop(name)))
            for name in list(parameters)
            if name.startswith(templates.PREFIX)
        }
        values[templates.SCHEMAS] = templates.schemas_folder()
        types = inputs_spec.get("artifacts", {})
        inputs = {}
        for name, listed in given.get("artifacts", {}).items():
            artifacts = listed.get("artifacts", ())
            if artifacts and artifacts[0].get("metadata", {}).get(FOUND) != 0:
                inputs[name] = _local(artifacts[0], types.get(name, {}).get("artifactType"))
        outputs = {
            name: _local(listed["artifacts"][0], None)
            for name, listed in asked.get("artifacts", {}).items()
            if name != LOGS and listed.get("artifacts")
        }
        return cls(
            inputs=inputs,
            outputs=outputs,
            parameters=places.moved(parameters, lambda text: places.local(templates.filled(text, values))),
            values=values,
            output_parameters={key: item["outputFile"] for key, item in asked.get("parameters", {}).items()},
            output_file=asked.get("outputFile", ""),
        )

    def run_id(self, pipeline_name: str) -> str:
        """Return the run's id: given, or as it stands in the outputs' URIs after the pipeline's name."""
        if templates.RUN_ID in self.values:
            return self.values[templates.RUN_ID]
        if isinstance(self.parameters.get(templates.RUN_ID), str):
            return str(self.parameters[templates.RUN_ID])
        for artifact in self.outputs.values():
            _, found, rest = artifact["uri"].rpartition(f"/{pipeline_name}/")
            if found:
                return str(rest.split("/")[0])
        return "unknown"

    def message(self) -> str:
        """Return the ExecutorInput TFX's own container code reads."""
        return json.dumps(
            {
                "inputs": {
                    "parameterValues": self.parameters,
                    "artifacts": {key: {"artifacts": [item]} for key, item in self.inputs.items()},
                },
                "outputs": {
                    "artifacts": {key: {"artifacts": [item]} for key, item in self.outputs.items()},
                    "outputFile": self.output_file,
                },
            }
        )

    def finish(self, parameters: dict[str, str] | None = None) -> dict[str, Message]:
        """Make what the executor wrote to the output file fit for the launcher; return the output artifacts.

        The launcher adopts a URI that comes back, so it must be the remote one, and fails on a null.
        """
        path = Path(self.output_file)
        written: Message = json.loads(path.read_text()) if path.exists() else {}
        artifacts = {
            name: {**item, "uri": places.remote(item["uri"]), "metadata": _remote(item.get("metadata", {}))}
            for name, listed in written.get("artifacts", {}).items()
            for item in listed["artifacts"][:1]
        }
        result: Message = {"artifacts": {name: {"artifacts": [item]} for name, item in artifacts.items()}}
        if parameters:
            result["parameterValues"] = parameters
            for name, value in parameters.items():
                file = Path(self.output_parameters[name])
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(value)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result))
        return artifacts


def _local(artifact: Message, kind: Message | None) -> Message:
    result = {**artifact, "uri": places.local(artifact["uri"])}
    result["metadata"] = places.moved(artifact.get("metadata", {}), places.local)
    if kind is not None:
        result["type"] = kind
    return result


def _remote(values: Message) -> Message:
    return {key: value for key, value in places.moved(values, places.remote).items() if value is not None}
