"""Servers under load: each a process of its own, driven by another one on the same cores."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks"
ENV = {
    **os.environ,
    "PYTHONPATH": f"{ROOT}:{HERE}",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "PYTHONDONTWRITEBYTECODE": "",
}


def python(*arguments: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, *arguments]


class Contestant:
    """A server process and all its children."""

    def __init__(
        self,
        command: list[str],
        target: str,
        log: Path,
        env: dict[str, str] | None = None,
        code: Path = ROOT,
        kind: str = "grpc",
    ) -> None:
        """Start `command` in the project's folder `code`, which may be another version of it.

        `kind` is how serving_load.py asks it.
        """
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, cwd=code, env={**ENV, **(env or {})}
            )
        self.target = target
        self.kind = kind
        self.log = log

    def await_listening(self) -> None:
        """Wait until the port takes connections."""
        host, _, port = self.target.rpartition(":")
        for _ in range(1200):
            if self.process.poll() is not None:
                raise SystemExit(f"{self.log} ended:\n{self.log.read_text()[-2000:]}")
            with socket.socket() as sock:
                if sock.connect_ex((host, int(port))) == 0:
                    return
            time.sleep(0.1)
        raise SystemExit(f"{self.log} never listened")

    def rss(self) -> float:
        """Resident MB of the process tree."""
        root = psutil.Process(self.process.pid)
        return sum(one.memory_info().rss for one in [root, *root.children(recursive=True)]) / 1e6

    def stop(self) -> None:
        """End the tree."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def load(kind: str, target: str, images: Path, **flags: Any) -> dict[str, Any]:
    """One window of the load generator."""
    command = python(
        str(HERE / "serving_load.py"), f"--kind={kind}", f"--target={target}", f"--images={images}"
    )
    command += [f"--{key}={value}" for key, value in flags.items()]
    done = subprocess.run(command, capture_output=True, text=True, env=ENV, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def window(server: Contestant, images: Path, **flags: Any) -> dict[str, Any]:
    """A load window with the CPU its server and everybody else used."""
    return load(server.kind, server.target, images, pid=server.process.pid, **flags)
