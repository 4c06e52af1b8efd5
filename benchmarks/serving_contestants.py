"""The contestants of the serving benchmark, each a process of its own, and the process that asks them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import serving_model
from benchmarks.measuring import ROOT, free_ports, rss, tree_sum
from benchmarks.serving_load import MODEL, load

# What PYTHONPATH names beside this checkout (packages of the group `benchmarks`, say) is for rivals and export as well.
ENV = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONDONTWRITEBYTECODE": ""}


class Contestant:
    """A server process and all its children."""

    def __init__(
        self,
        command: list[str],
        target: str,
        log: Path,
        env: dict[str, str],
        code: Path = ROOT,
        kind: str = "grpc",
    ) -> None:
        """Start `command` in the project's folder `code`, which may be another version of it.

        `kind` is how serving_load.py asks it.
        """
        with log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=code, env={**ENV, **env})
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
        return tree_sum(self.process.pid, rss) / 1e6

    def stop(self) -> None:
        """End the tree."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def run_module(name: str, *arguments: str) -> None:
    """Run a module of this project to its end."""
    command = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=ENV, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")


def window(server: Contestant, images: Path, **flags: Any) -> dict[str, Any]:
    """A load window with the CPU its server and everybody else used."""
    return load(server.kind, server.target, images, pid=server.process.pid, **flags)


class Contestants:
    """This server, what it is compared with, and the models they serve.

    Attributes:
        models: What serving_model.py wrote.
        base: The folder whose versions this server serves.
        spare: Another version of it.
        rest_target: This server's other port.
        ours: This server.
        light: This server on a graph that costs nothing; only with all contestants.
        rivals: Whoever else answers, by name.
        missing: Why a rival does not take part, by name.
    """

    def __init__(self, work: Path, old_code: Path | None, *, only_throughput: bool) -> None:
        """Take down who is to take part.

        Args:
            work: Folder for models and logs.
            old_code: Checkout of an older version, whose server takes part.
            only_throughput: Only this server, FastAPI with ONNX Runtime and the older one.
        """
        self._work, self._old_code, self._only_throughput = work, old_code, only_throughput
        self._started: list[Contestant] = []
        self.models = work / "lite0"
        self.base = work / "served"
        self.spare = self.models / "versions" / "2"
        self.light: Contestant | None = None
        self.rivals: dict[str, Contestant] = {}
        self.missing: dict[str, str] = {}

    def start(self) -> None:
        """Export EfficientNet-Lite0 and start everybody; `stop` ends those who were started before an error."""
        run_module("benchmarks.serving_model", str(self.models))
        self.base.mkdir()
        shutil.copytree(self.models / "1", self.base / "1")
        monitoring = self._work / "monitoring.config"
        monitoring.write_text("prometheus_config { enable: true }")
        self._ports = iter(free_ports(8))  # at once: a port is taken only when its server listens
        rest_port = next(self._ports)
        self.rest_target = f"127.0.0.1:{rest_port}"
        self.ours = self._model_server(
            "ours", self.base, f"--rest_api_port={rest_port}", f"--monitoring_config_file={monitoring}",
            "--file_system_poll_wait_seconds=0.2",
        )  # fmt: skip
        pixels = self.models / "pixels"
        if not self._only_throughput:
            self.light = self._model_server("light", self.models / "light", "--rest_api_port=0")
            keras_file = {"MODEL": str(pixels / "model.keras")}
            self._rival(
                "flask", keras_file, "gunicorn", "-w", "2", "-k", "gthread", "--threads", "16", "--timeout", "300", "-b",
                "127.0.0.1:{port}",
            )  # fmt: skip
            self._uvicorn("fastapi", keras_file)
        if absent := serving_model.absent_for_onnx():
            command = ".build/installer/bin/uv sync --all-extras --group benchmarks"
            self.missing["onnx"] = f"{', '.join(absent)} not installed ({command})"
        else:
            self._uvicorn("onnx", {"ONNX": str(pixels / "model.onnx")})
        if self._old_code is not None:
            # What it needs may not be installed here any more.
            theirs = self._old_code / ".venv/bin/python"
            self.rivals["old"] = self._model_server(
                "old", self.models / "unfolded", "--rest_api_port=0", code=self._old_code,
                interpreter=theirs if theirs.exists() else Path(sys.executable),
            )  # fmt: skip

    def _model_server(
        self,
        name: str,
        base: Path,
        *flags: str,
        code: Path = ROOT,
        interpreter: Path = Path(sys.executable),
    ) -> Contestant:
        port = next(self._ports)
        command = [
            str(interpreter), "-m", "serving", "--host=127.0.0.1", f"--port={port}", f"--model_name={MODEL}",
            f"--model_base_path={base}", "--enable_batching", *flags,
        ]  # fmt: skip
        return self._start(name, command, port, {"PYTHONPATH": str(code)}, code=code)

    def _uvicorn(self, name: str, env: dict[str, str]) -> None:
        self._rival(
            name, env, "uvicorn", "--host=127.0.0.1", "--port={port}", "--workers=2", "--log-level=warning"
        )

    def _rival(self, name: str, env: dict[str, str], *command: str) -> None:
        port = next(self._ports)
        arguments = [one.format(port=port) for one in command]
        app = f"benchmarks.serving_rivals:{name}_app"
        self.rivals[name] = self._start(
            name, [sys.executable, "-m", *arguments, app], port, {**env, "RIVAL": name}, kind="multipart"
        )

    def _start(self, name: str, command: list[str], port: int, env: dict[str, str], **how: Any) -> Contestant:
        started = Contestant(command, f"127.0.0.1:{port}", self._work / f"{name}.log", env, **how)
        self._started.append(started)
        return started

    def await_listening(self) -> None:
        """Wait until every port takes connections."""
        for server in self._started:
            server.await_listening()

    def stop(self) -> None:
        """Stop all that were started."""
        for server in self._started:
            server.stop()
