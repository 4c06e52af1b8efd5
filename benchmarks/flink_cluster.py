"""A real Flink cluster on this machine: job manager, task manager, Beam's job server and its Python workers.

Flink itself comes from PyPI (`apache-flink-libraries` holds the distribution), Beam's runner for it from Maven
Central; both are fetched once, into a folder. Java 11 or 17 and Maven must be installed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from benchmarks.measuring import ROOT, free_ports

FLINK: Final = "1.19.2"
# Beam's runner for Flink 1.19; younger ones were not complete in every mirror of Maven Central. The Python side may be
# younger than the job server: what crosses between them is Beam's portable pipeline, which is versioned on its own.
BEAM_RUNNER: Final = "2.62.0"
KEPT: Final = ROOT / ".build" / "flink"
CONFIGURATION: Final = Path(__file__).with_name("flink_conf")

# As Flink's own start scripts open them for Java 17.
_OPENED: Final = (
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.lang", "java.lang.reflect", "java.net", "java.io", "java.nio", "java.text", "java.time", "java.util",
            "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks", "sun.nio.ch",
        )
    ),
)  # fmt: skip


class UnavailableError(Exception):
    """What the cluster needs cannot be had here; the message says what."""


def fetch(folder: Path = KEPT) -> Path:
    """Return the folder with Flink's libraries and the job server's; fetches what is missing.

    Raises:
        UnavailableError: no Java or Maven, or a registry that cannot be reached.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not installed; a Flink cluster needs Java 17 and Maven")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "flink").is_dir():
        partial = folder / "flink.part"
        shutil.rmtree(partial, ignore_errors=True)
        pip = [str(ROOT / ".build/installer/bin/python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        _run([*pip, "--target", str(partial), f"apache-flink-libraries=={FLINK}"], folder, "Flink from PyPI")
        partial.rename(folder / "flink")
    if not (folder / "job-server").is_dir():
        shutil.copy(CONFIGURATION / "pom.xml", folder)
        shutil.rmtree(folder / "job-server.part", ignore_errors=True)
        goal = ["dependency:copy-dependencies", "-DoutputDirectory=job-server.part", "-DincludeScope=runtime"]
        _run(
            ["mvn", "-q", "-B", f"-Dbeam.runner={BEAM_RUNNER}", *goal],
            folder,
            "Beam's Flink runner from Maven Central",
        )
        (folder / "job-server.part").rename(folder / "job-server")
    return folder


def _run(command: list[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        said = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "")
        raise UnavailableError(f"{what} could not be fetched: {said[:300]}")


class FlinkCluster:
    """One task manager with some slots; a context that ends every process it started.

    Args:
        folder: for configuration, logs and artifacts.
        slots: tasks that run at once.

    Raises:
        UnavailableError: see `fetch`.
        RuntimeError: a part did not start; the message ends with its log.
    """

    def __init__(self, folder: Path, slots: int = 2) -> None:
        self._folder = folder
        self._slots = slots
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._rest, self._rpc, self._jobs, self._artifacts, self._workers = free_ports(5)

    def __enter__(self) -> Self:
        libraries = fetch()
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start(libraries)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def beam_options(self) -> tuple[str, ...]:
        """Beam's options that send a pipeline here."""
        return (
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self._jobs}",
            f"--artifact_endpoint=localhost:{self._artifacts}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{self._workers}",
            f"--parallelism={self._slots}",
            f"--sdk_worker_parallelism={self._slots}",
        )

    def finished_jobs(self) -> int:
        """How many jobs Flink says it has finished."""
        return int(self._overview()["jobs-finished"])

    def _start(self, libraries: Path) -> None:
        configuration = self._folder / "conf"
        configuration.mkdir(exist_ok=True)
        template = (CONFIGURATION / "config.yaml.template").read_text()
        (configuration / "config.yaml").write_text(
            template.format(rpc=self._rpc, rest=self._rest, slots=self._slots)
        )
        shutil.copy(CONFIGURATION / "log4j.properties", configuration)
        log = f"-Dlog4j.configurationFile=file:{configuration}/log4j.properties"
        # Direct memory: the network's, which a job with this many steps takes whole, and some for Flink itself.
        memory = ["-Xmx768m", "-XX:MaxDirectMemorySize=3g"]
        flink = ["java", *memory, *_OPENED, log, "-cp", f"{libraries}/flink/pyflink/lib/*"]
        where = ["--configDir", str(configuration)]
        package = "org.apache.flink.runtime"
        manager = [f"{package}.entrypoint.StandaloneSessionClusterEntrypoint", *where]
        self._spawn("job-manager", [*flink, *manager, "--executionMode", "cluster"])
        self._spawn("task-manager", [*flink, f"{package}.taskexecutor.TaskManagerRunner", *where])
        self._await("task-manager", lambda: self._overview()["slots-total"] == self._slots)
        server = ["java", "-Xmx768m", *_OPENED, "-cp", f"{libraries}/job-server/*"]
        self._spawn(
            "job-server",
            [
                *server,
                "org.apache.beam.runners.flink.FlinkJobServerDriver",
                f"--flink-master=localhost:{self._rest}",
                "--job-host=localhost",
                f"--job-port={self._jobs}",
                f"--artifact-port={self._artifacts}",
                "--expansion-port=0",
                f"--artifacts-dir={self._folder / 'artifacts'}",
            ],
        )
        self._await("job-server", lambda: _listens(self._jobs))
        pool = "apache_beam.runners.worker.worker_pool_main"
        self._spawn("workers", [sys.executable, "-m", pool, f"--service_port={self._workers}"])
        self._await("workers", lambda: _listens(self._workers))

    def _spawn(self, name: str, command: list[str]) -> None:
        # The pool starts its workers as `python`, whichever that is.
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def _await(self, name: str, ready: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._processes[name].poll() is None:
            try:
                if ready():
                    return
            except (OSError, urllib.error.URLError):
                pass
            time.sleep(0.2)
        log = (self._folder / f"{name}.log").read_text(errors="replace")
        raise RuntimeError(f"the {name} of the Flink cluster did not start:\n{log[-2000:]}")

    def _overview(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://localhost:{self._rest}/overview", timeout=5) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def _stop(self) -> None:
        for process in reversed(self._processes.values()):
            # Whole groups: the pool's workers outlive it otherwise.
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()


def _listens(port: int) -> bool:
    with socket.create_connection(("localhost", port), timeout=1):
        return True
