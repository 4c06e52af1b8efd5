"""Runs a compiled pipeline without a cluster, every task in its own process or container.

    python -m tests.pipeline.kubeflow.launch FILE.yaml [FILE.yaml ...] --data DIR --workspace DIR
        [--container-runner "docker -H unix:///run/docker.sock"] [--report FILE.json]

Several files are runs one after the other on the same store, workspace and cache. Ends with 0 when every
task of every run succeeded, 1 when one failed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from tests.pipeline.kubeflow.driver_double import Driver, MetadataStore
from tests.pipeline.kubeflow.launcher_double import Launcher, Report, TaskFailedError, Volumes
from tests.pipeline.kubeflow.object_store import ObjectStore, serving

SCHEME = "minio"


@dataclass
class Run:
    """What came of one run."""

    run_id: str
    reports: list[Report] = field(default_factory=list)
    failed: str = ""
    log: str = ""

    def report(self, task: str) -> Report:
        """Return what one task cost."""
        return next(item for item in self.reports if item.task == task)


class Cluster:
    """A pretended cluster: its metadata store and its object store outlive a run."""

    def __init__(self, store: ObjectStore, volumes: Volumes, runner: Sequence[str] = ()) -> None:
        self.metadata = MetadataStore()
        self._store = store
        self._volumes = volumes
        self._runner = tuple(runner)

    def run(self, file: Path, *, show: bool = False) -> Run:
        """Run every task of a compiled pipeline in order; stop at the first that fails."""
        spec, platform = yaml.safe_load_all(file.read_text())
        result = Run(str(uuid.uuid4()))
        # In a container the claims lie where the pipeline's own defaults say.
        places = (
            {}
            if self._runner
            else {
                "data": str(self._volumes.data.resolve()),
                "workspace": str(self._volumes.workspace.resolve()),
            }
        )
        root = f"{SCHEME}://{self._store.bucket}/v2/artifacts"
        driver = Driver(spec, platform, self.metadata, result.run_id, root, places)
        launcher = Launcher(driver, self._store, self._volumes, self._runner)
        for name in driver.order():
            try:
                report = launcher.run(name)
            except TaskFailedError as problem:
                result.failed, result.log = name, str(problem)
                break
            result.reports.append(report)
            if show:
                sys.stdout.write(
                    f"{report.state:10}{name:22}{report.seconds:7.1f} s {report.cpu_seconds:6.1f} s CPU"
                    f"{report.downloaded / 1e6:8.2f} MB in{report.uploaded / 1e6:8.2f} MB out"
                    f"  {(report.cache_key or '-')[:12]}\n"
                )
                sys.stdout.flush()
        return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.yaml")
    parser.add_argument("--data", type=Path, required=True, help="an ingested data set")
    parser.add_argument("--workspace", type=Path, required=True, help="stands for the workspace's volume")
    parser.add_argument("--container-runner", default="", help="run each task in a container, e.g. docker")
    parser.add_argument("--report", type=Path, help="write what each task cost, and its log, as JSON")
    arguments = parser.parse_args(argv)
    arguments.workspace.mkdir(parents=True, exist_ok=True)
    if arguments.container_runner:
        arguments.workspace.chmod(0o777)
    with serving() as store:
        cluster = Cluster(
            store, Volumes(arguments.data, arguments.workspace), shlex.split(arguments.container_runner)
        )
        runs = []
        for file in arguments.files:
            sys.stdout.write(f"{file}\n")
            run = cluster.run(file, show=True)
            runs.append(run)
            if run.failed:
                sys.stdout.write(f"FAILED    {run.failed}\n{run.log}\n")
                break
    if arguments.report:
        arguments.report.write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n")
    return 1 if runs[-1].failed else 0


if __name__ == "__main__":
    sys.exit(main())
