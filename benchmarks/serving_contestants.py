"""All contestants of the serving benchmark: started together, each on ports and a log of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.ports import free_ports
from benchmarks.serving_contestant import ENV, HERE, ROOT, Contestant, python


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

    def start(self) -> None:
        """Export EfficientNet-Lite0 and start everybody; `stop` ends those who were started before an error."""
        subprocess.run(
            python(str(HERE / "serving_model.py"), str(self.models)), check=True, env=ENV, capture_output=True
        )
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
            self.rivals["flask"] = self._rival(
                "flask", keras_file, "gunicorn", "-w", "2", "-k", "gthread", "--threads", "16", "--timeout", "300", "-b",
                "{target}",
            )  # fmt: skip
            self.rivals["fastapi"] = self._uvicorn("fastapi", keras_file)
        if (pixels / "model.onnx").exists():
            self.rivals["onnx"] = self._uvicorn("onnx", {"ONNX": str(pixels / "model.onnx")})
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
            str(interpreter), "-m", "serving", "--host=127.0.0.1", f"--port={port}", "--model_name=lite0",
            f"--model_base_path={base}", "--enable_batching", *flags,
        ]  # fmt: skip
        log = self._work / f"{name}.log"
        started = Contestant(command, f"127.0.0.1:{port}", log, {"PYTHONPATH": str(code)}, code)
        self._started.append(started)
        return started

    def _uvicorn(self, name: str, env: dict[str, str]) -> Contestant:
        return self._rival(
            name, env, "uvicorn", "--host=127.0.0.1", "--port={port}", "--workers=2", "--log-level=warning"
        )

    def _rival(self, name: str, env: dict[str, str], *command: str) -> Contestant:
        port = next(self._ports)
        target = f"127.0.0.1:{port}"
        arguments = [one.format(port=port, target=target) for one in command]
        started = Contestant(
            python("-m", *arguments, f"benchmarks.serving_rivals:{name}_app"),
            target,
            self._work / f"{name}.log",
            {**env, "RIVAL": name},
            kind="multipart",
        )
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
