"""What KFP's launcher does around a task's command: downloads, the command itself, uploads, results.

Read in kubeflow/pipelines, backend/src/v2/component/launcher_v2.go. The command line is the compiled one,
with the placeholders replaced and nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.pipeline.kubeflow.driver_double import Driver, Execution, Message
from tests.pipeline.kubeflow.object_store import ObjectStore

FOLDERS = {"minio://": "minio", "s3://": "s3", "gs://": "gcs"}
ROOT = Path(__file__).resolve().parents[3]


class TaskFailedError(Exception):
    """A task's command failed, or what it left is not what the launcher takes."""


@dataclass(frozen=True)
class Volumes:
    """The folders that stand for the claims."""

    data: Path
    workspace: Path


@dataclass(frozen=True)
class Report:
    """What a task cost."""

    task: str
    state: str
    seconds: float
    cpu_seconds: float
    downloaded: int
    uploaded: int
    cache_key: str | None
    log: str = ""


class Launcher:
    """Runs tasks of one run, each as a process of its own or in a container of its image."""

    def __init__(
        self, driver: Driver, store: ObjectStore, volumes: Volumes, runner: Sequence[str] = ()
    ) -> None:
        self._driver = driver
        self._store = store
        self._volumes = volumes
        self._runner = tuple(runner)

    def run(self, name: str) -> Report:
        """Run one task, or take it from the cache.

        Raises:
            TaskFailedError: as KFP would mark the task failed; the message ends with the log.
        """
        driver = self._driver
        asked = driver.executor_input(name)
        key = driver.cache_key(name, asked)
        begun, before = time.monotonic(), _children_seconds()
        down, up = self._store.downloaded, self._store.uploaded
        state, log = "CACHED", ""
        if key is not None and key in driver.store.cache:
            driver.done[name] = driver.store.cache[key]
        else:
            with tempfile.TemporaryDirectory(prefix=f"kfp-{name}-") as scratch:
                execution, log = self._execute(name, asked, Path(scratch))
            driver.done[name] = execution
            state = "SUCCEEDED"
            if key is not None:
                driver.store.cache[key] = execution
        return Report(
            task=name,
            state=state,
            seconds=time.monotonic() - begun,
            cpu_seconds=_children_seconds() - before,
            downloaded=self._store.downloaded - down,
            uploaded=self._store.uploaded - up,
            cache_key=key,
            log=log,
        )

    def _execute(self, name: str, asked: Message, scratch: Path) -> tuple[Execution, str]:
        for listed in asked["inputs"]["artifacts"].values():
            uri = listed["artifacts"][0]["uri"]
            self._store.download(uri, _local(scratch, uri))
        for listed in asked["outputs"]["artifacts"].values():
            _local(scratch, listed["artifacts"][0]["uri"]).parent.mkdir(parents=True, exist_ok=True)
        # The container's own /tmp: in a process it is a folder of the scratch, and only paths differ.
        told = asked if self._runner else _below(asked, scratch)
        for item in (told["outputs"]["outputFile"], *_files(told)):
            path = Path(item) if not self._runner else scratch / item.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
        container = self._driver.container(name)
        command = [_replaced(part, told) for part in (*container["command"], *container["args"])]
        given = {one["name"]: one["value"] for one in container.get("env", ())}
        done = self._call(name, command, container["image"], scratch, given)
        log = done.stdout
        if done.returncode:
            raise TaskFailedError(f"{name} ended with {done.returncode}:\n{log}")
        output = scratch / asked["outputs"]["outputFile"].lstrip("/")
        return self._collect(name, asked, output, scratch), log

    def _call(
        self, name: str, command: list[str], image: str, scratch: Path, given: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | given
        if self._runner:
            variables = [part for key, value in given.items() for part in ("--env", f"{key}={value}")]
            command = [*self._runner, *self._mounts(name, scratch), *variables, image, *command]
        else:
            environment |= {
                "MELANOSIZER_LAUNCHER_ROOT": str(scratch),
                "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(scratch),
            }
        return subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )

    def _mounts(self, name: str, scratch: Path) -> list[str]:
        """Return docker's arguments: the scratch folders, the claims, and no network."""
        result = ["run", "--rm", "--network", "none", "--entrypoint", ""]
        for folder in ("minio", "s3", "gcs", "tmp/kfp_outputs", "tmp/kfp"):
            path = scratch / folder
            path.mkdir(parents=True, exist_ok=True)
            result += ["--volume", f"{path}:/{folder}"]
        # An image's user is not ours.
        for path in (scratch, *scratch.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        folders = {"/data": self._volumes.data, "/workspace": self._volumes.workspace}
        for path in self._driver.claims(name).values():
            result += ["--volume", f"{folders[path].resolve()}:{path}"]
        return result

    def _collect(self, name: str, asked: Message, output: Path, scratch: Path) -> Execution:
        given = pipeline_spec_pb2.ExecutorOutput()
        if output.exists():
            # protojson refuses unknown fields, and so do we.
            json_format.Parse(output.read_text(), given)
        written: Message = json_format.MessageToDict(given)
        parameters: dict[str, Any] = dict(written.get("parameterValues", {}))
        for key, item in asked["outputs"]["parameters"].items():
            if key not in parameters:
                parameters[key] = (scratch / item["outputFile"].lstrip("/")).read_text()
        artifacts = {}
        for key, listed in asked["outputs"]["artifacts"].items():
            artifact = dict(listed["artifacts"][0])
            changed = written.get("artifacts", {}).get(key, {}).get("artifacts", [{}])[0]
            artifact["uri"] = changed.get("uri") or artifact["uri"]
            artifact["metadata"] = {**artifact.get("metadata", {}), **changed.get("metadata", {})}
            self._store.upload(_local(scratch, artifact["uri"]), artifact["uri"])
            try:
                number = self._driver.store.record(artifact)
            except ValueError as problem:
                raise TaskFailedError(f"{name}: output {key}: {problem}") from None
            artifacts[key] = self._driver.store.runtime_artifact(number)
        return Execution(parameters, artifacts)


def _local(scratch: Path, uri: str) -> Path:
    for scheme, folder in FOLDERS.items():
        if uri.startswith(scheme):
            return scratch / folder / uri.removeprefix(scheme)
    raise TaskFailedError(f"failed to generate local path for URI {uri}: unsupported storage scheme")


def _below(asked: Message, scratch: Path) -> Message:
    """Return the ExecutorInput with the container's own paths below the scratch folder."""
    told: Message = json.loads(json.dumps(asked))
    told["outputs"]["outputFile"] = f"{scratch}{told['outputs']['outputFile']}"
    for item in told["outputs"]["parameters"].values():
        item["outputFile"] = f"{scratch}{item['outputFile']}"
    return told


def _files(asked: Message) -> list[str]:
    return [item["outputFile"] for item in asked["outputs"]["parameters"].values()]


def _replaced(part: str, asked: Message) -> str:
    result = part.replace("{{$}}", json.dumps(asked))
    for key, value in asked["inputs"]["parameterValues"].items():
        result = result.replace(f"{{{{$.inputs.parameters['{key}']}}}}", str(value))
    return result


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def clear(folder: Path) -> None:
    """Remove a folder and what is in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
