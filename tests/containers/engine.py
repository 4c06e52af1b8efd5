"""A Docker Engine for the tests: the one that answers, or one of our own for as long as they run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Kept between runs: layers, and the base where no registry can be reached.
CACHE = ROOT / ".build" / "containers"
BASE = "debian:trixie-slim"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


class NoEngineError(Exception):
    """There is no engine, or no base image; the message says why."""


class Engine:
    """The engine behind one address."""

    def __init__(self, host: str | None) -> None:
        self.environment = dict(os.environ)
        if host:
            self.environment["DOCKER_HOST"] = host
        buildx = subprocess.run(
            ["docker", "buildx", "version"], env=self.environment, capture_output=True, check=False
        )
        self.environment["DOCKER_BUILDKIT"] = "0" if buildx.returncode else "1"

    def docker(self, *arguments: str, timeout: float = 600, check: bool = True) -> str:
        """Run docker and return what it wrote to stdout; stderr is in the error's text."""
        done = subprocess.run(
            ["docker", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert not (check and done.returncode), (
            f"docker {' '.join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows of an image or a container."""
        found: dict[str, Any] = json.loads(self.docker("inspect", name))[0]
        return found

    def build(self, dockerfile: str, tag: str, *arguments: str) -> str:
        """Build an image of this project; returns its tag."""
        self.docker("build", "-f", f"docker/{dockerfile}", "-t", tag, *arguments, str(ROOT), timeout=1500)
        return tag

    def base(self) -> str:
        """Debian 13: pulled, or made of the same packages where no registry can be reached.

        Raises:
            NoEngineError: neither can be.
        """
        if self.docker("images", "-q", BASE).strip():
            return BASE
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.docker("pull", "-q", BASE, timeout=90)
            return BASE
        archive = CACHE / "base.tar"
        if not archive.exists():
            _bootstrap(archive)
        said = ["SSL_CERT_FILE=/etc/ssl/host.crt", "PIP_CERT=/etc/ssl/host.crt"]
        self.docker(
            "import", "--change", f"ENV {' '.join(said)}", "--change", 'CMD ["bash"]', str(archive), BASE
        )
        return BASE


def _bootstrap(archive: Path) -> None:
    """Make a base of Debian's packages, with this machine's authorities: its mirrors may be behind a proxy."""
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise NoEngineError(
            f"{BASE} cannot be pulled, and debootstrap (as root) is not here to make a base of the same packages"
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        root = Path(scratch) / "root"
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", "trixie", str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        # It leaves these mounted where it may mount.
        for mounted in ("proc", "sys"):
            subprocess.run(["umount", str(root / mounted)], capture_output=True, check=False)
        if done.returncode:
            raise NoEngineError(f"debootstrap could not make a base: {done.stdout.strip()[-300:]}")
        for folder in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / folder)
            (root / folder / "partial").mkdir(parents=True)
        shutil.copy(AUTHORITIES, root / "etc/ssl/host.crt")
        partial = archive.with_suffix(".partial")
        subprocess.run(["tar", "-C", str(root), "--one-file-system", "-cf", str(partial), "."], check=True)
        partial.rename(archive)


@contextlib.contextmanager
def running() -> Iterator[Engine]:
    """The engine that DOCKER_HOST or the system has; else one of our own, ended afterwards.

    Raises:
        NoEngineError: there is none, and none can be started.
    """
    if shutil.which("docker") is None:
        raise NoEngineError("docker is not installed (Debian: apt-get install docker.io)")
    answers = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    if answers.returncode == 0:
        yield Engine(None)
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        raise NoEngineError("no Docker Engine answers, and dockerd (as root) is not here to start one")
    # A short path: a socket's may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="dockerd-") as scratch, (Path(scratch) / "log").open("w") as log:
        host = f"unix://{scratch}/sock"
        (CACHE / "engine").mkdir(parents=True, exist_ok=True)
        command: Sequence[str] = (
            *("dockerd", "--data-root", str(CACHE / "engine"), "--exec-root", f"{scratch}/run"),
            *("--host", host, "--pidfile", f"{scratch}/pid"),
        )
        daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(host, daemon, Path(scratch) / "log")
            yield Engine(host)
        finally:
            daemon.terminate()
            daemon.wait(60)
            _unmount(scratch)


def _unmount(folder: str) -> None:
    """What dockerd leaves mounted there, its own network namespace for one: the folder could not be removed."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", point], capture_output=True, check=False)


def _await(host: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + 60
    while subprocess.run(["docker", "-H", host, "info"], capture_output=True, check=False).returncode:
        if daemon.poll() is not None or time.monotonic() > limit:
            daemon.kill()
            last = "".join(log.read_text().splitlines(keepends=True)[-3:])
            raise NoEngineError(f"dockerd does not start here: {last.strip()[-400:]}")
        time.sleep(0.2)


# What Kubernetes gives the same images (k8s/base): read-only root, no capabilities, no network but where named.
RESTRICTED = (
    "--read-only",
    *("--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
    *("--user", "10001:10001"),
)


@dataclass(frozen=True)
class Smoke:
    """What a run of the smoke preset inside the pipeline image left behind."""

    workspace: Path
    said: str
