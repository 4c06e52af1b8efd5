"""What a task's container runs: TFX's own container code, with KFP's differences made up for before and after.

TFX's compiler writes the arguments; ours are `--node_id` and, for steps TFX knows nothing of, `--look_up` and
`--resolve`. Ends with 0, with 3 when a gate refused (KFP shows either as a failed task; the reason is the last
line of its log), and with 1 for any other failure.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from core.errors import REFUSED
from core.hashing import content_hash
from core.records import lineage
from core.records.lineage import LineageArtifact, LineageRecord, LineageStore
from core.records.verdict import GateRefusedError, Verdict
from pipeline.targets.kubeflow import places, templates
from pipeline.targets.kubeflow.following import REFUSED_MARK
from pipeline.targets.kubeflow.task import FOUND, Message, Task

_log = logging.getLogger("melanosizer.task")

PIPELINE_NAME = "melanosizer"  # as in the DAG, which takes TFX seconds to import


def main(argv: Sequence[str] | None = None) -> int:
    """Run one task."""
    # Argo's emissary starts the container with umask 0 (workflow/executor/emissary, `os.Umask`): what a step writes
    # into the workspace would be writable by everybody.
    os.umask(0o022)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # A hundred lines a start about types it does not know.
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    arguments, beam_args = _parse(argv)
    task = Task.read(
        json.loads(arguments.json_serialized_invocation_args),
        json.loads(arguments.json_serialized_inputs_spec_args or "{}"),
    )
    record = functools.partial(_record, arguments.node_id, task, datetime.now(UTC))
    begun = time.process_time()
    try:
        if arguments.look_up:
            outputs = _look_up(task)
        elif arguments.resolve:
            outputs = _resolve(task)
        else:
            outputs = _execute(task, arguments, beam_args)
            _refuse_unblessed(arguments.node_id, task)
    except GateRefusedError as refusal:
        record("REFUSED", {}, str(refusal))
        _log.error("%s %s", REFUSED_MARK, refusal)
        return REFUSED
    except Exception as fault:
        record("FAILED", {}, f"{type(fault).__name__}: {fault}")
        raise
    record("COMPLETE", outputs, "")
    _log.info("%s took %.1f s of processor time", arguments.node_id, time.process_time() - begun)
    return 0


def _execute(task: Task, arguments: argparse.Namespace, beam_args: list[str]) -> dict[str, Message]:
    """Run TFX's executor in TFX's own container code."""
    # TFX takes seconds to import; a task that only looks something up does without.
    from tfx.components.example_gen import base_example_gen_executor
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
    from tfx.orchestration.kubeflow.v2.file_based_example_gen import driver
    from tfx.utils import import_utils

    Path(task.output_file).unlink(missing_ok=True)
    for artifact in task.outputs.values():
        # As TFX's local runner does; KFP's launcher makes the folder around it only (prepareOutputFolders).
        Path(artifact["uri"]).mkdir(parents=True, exist_ok=True)
    call = argparse.Namespace(
        executor_class_path=arguments.executor_class_path,
        json_serialized_invocation_args=task.message(),
        json_serialized_inputs_spec_args=arguments.json_serialized_inputs_spec_args,
    )
    executor = import_utils.import_class_by_path(arguments.executor_class_path)
    if issubclass(executor, base_example_gen_executor.BaseExampleGenExecutor):
        _check_version(task)
        # KFP ignores the hook that should have run it; TFX's executor reads what it leaves in the output file.
        driver.main(call)
    kubeflow_v2_run_executor.main((call, beam_args))
    return task.finish()


def _check_version(task: Task) -> None:
    """Refuse data that are others than those the run began with: the cache would keep them under a wrong name."""
    from components.ingest.manifest import Manifest

    found = Manifest.load(task.parameters["input_base"]).data_version
    if found != task.values[templates.DATA_VERSION]:
        raise RuntimeError(
            f"{task.parameters['input_base']} holds version {found} now; the run began with "
            f"{task.values[templates.DATA_VERSION]}: submit it again"
        )


def _look_up(task: Task) -> dict[str, Message]:
    from pipeline.targets.kubeflow import looking

    place = task.outputs[templates.PLACE]["uri"]
    # The launcher uploads every output: let there be something.
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_text("the store of this run\n")
    found = looking.look_up(
        Path(task.values[templates.DATA]),
        Path(task.values[templates.WORKSPACE]),
        task.parameters["queries"],
        places.store(place),
    )
    for name, value in found.items():
        _log.info("%s: %s", name, value)
    return task.finish(found)


def _resolve(task: Task) -> dict[str, Message]:
    """Hand on what the first step found, as artifacts."""
    found = json.loads(task.parameters["found"])
    outputs: dict[str, Message] = {}
    for name, artifact in task.outputs.items():
        if name in found:
            item = {"uri": found[name]["uri"], "metadata": {**found[name]["properties"], FOUND: 1}}
        else:
            folder = Path(artifact["uri"])
            folder.mkdir(parents=True, exist_ok=True)
            # The launcher downloads every input: let there be something.
            (folder / "NONE").write_text("no such artifact yet\n")
            item = {"uri": artifact["uri"], "metadata": {FOUND: 0}}
        outputs[name] = {"artifacts": [item]}
    Path(task.output_file).parent.mkdir(parents=True, exist_ok=True)
    Path(task.output_file).write_text(json.dumps({"artifacts": outputs}))
    return task.finish()


def _refuse_unblessed(step: str, task: Task) -> None:
    """Fail the last step when no model was pushed because a gate said no.

    The model and the serving gate do not stop the run where they say it: a task that fails leaves KFP
    none of its outputs to inspect.
    """
    if step != "registry":
        return
    pushed = task.inputs["pushed_model"].get("metadata", {})
    if pushed.get("pushed") or pushed.get("unchanged"):
        return
    for name in ("evaluation", "infra_blessing"):
        verdict = Verdict.load(Path(task.inputs[name]["uri"]))
        if not verdict.passed:
            raise GateRefusedError(verdict)


def _record(
    step: str, task: Task, started: datetime, state: lineage.State, outputs: dict[str, Message], reason: str
) -> None:
    """Write the task's lineage record."""
    record = LineageRecord(
        run_id=task.run_id(PIPELINE_NAME),
        step=step,
        target="vertex" if "CLOUD_ML_PROJECT_ID" in os.environ else "kubeflow",
        state=state,
        started=started,
        finished=datetime.now(UTC),
        software=importlib.metadata.version("melanosizer"),
        inputs={name: (_artifact(item),) for name, item in task.inputs.items()},
        outputs={name: (_artifact({**task.outputs[name], **item}),) for name, item in outputs.items()},
        configuration=task.parameters,
        configuration_sha256=lineage.configuration_hash(task.parameters),
        reason=reason,
    )
    LineageStore(Path(task.values[templates.WORKSPACE])).write(record)


def _artifact(item: Message) -> LineageArtifact:
    uri = places.remote(item["uri"])
    return LineageArtifact(
        type=_type_name(item.get("type", {})),
        uri=uri,
        sha256=content_hash(Path(places.local(uri))),
        properties=lineage.scalars(places.moved(item.get("metadata", {}), places.remote)),
    )


def _type_name(kind: Message) -> str:
    """Return `Model` of ``{"instanceSchema": "title: tfx.Model..."}``, as ML Metadata names it."""
    title = str(kind.get("instanceSchema") or kind.get("schemaTitle", "")).split("\n")[0]
    return title.removeprefix("title: ").removeprefix("tfx.")


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="melanosizer-task", allow_abbrev=False)
    parser.add_argument("--node_id", required=True, help="the step's id in the pipeline")
    parser.add_argument("--executor_class_path", help="dotted path of TFX's executor")
    parser.add_argument("--json_serialized_invocation_args", required=True, help="the ExecutorInput")
    parser.add_argument("--json_serialized_inputs_spec_args", help="the component's inputDefinitions")
    parser.add_argument("--look_up", action="store_true", help="find the data's version and the baselines")
    parser.add_argument("--resolve", action="store_true", help="hand on what was found")
    return parser.parse_known_args(argv)


def _main() -> None:
    code: Any = main()
    # TensorFlow's threads may outlive Python's own end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _main()
