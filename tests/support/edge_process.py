"""The device as a process of its own, killed, frozen and started again at will."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class DeviceProcess:
    """`python -m edge run` with one configuration."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.output: list[str] = []

    def start(self) -> None:
        """Start it and wait until its page is there."""
        command = [sys.executable, "-m", "edge", "run", "--config", str(self._config)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            for line in process.stderr:
                self.output.append(line)
                if "ready: open " in line:
                    with self._lock:
                        self._process, self.url = process, line.split("ready: open ")[1].strip()
                    threading.Thread(target=self._drain, args=(process,), daemon=True).start()
                    return
        except BaseException:  # a test whose time is over leaves no process behind
            process.kill()
            raise
        raise RuntimeError("the device did not start:\n" + "".join(self.output[-20:]))

    @property
    def running(self) -> bool:
        """True between a start and the next end, whoever ends it."""
        with self._lock:
            return self._process is not None and self._process.poll() is None

    def revive(self) -> None:
        """Start it again if it ended by itself, as the service manager would."""
        with self._lock:
            ended = self._process is not None and self._process.poll() is not None
        if ended:
            self.start()

    def kill(self) -> None:
        """Send SIGKILL, as a power cut does it."""
        self.stop(signal.SIGKILL)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(timeout=120)
            finally:
                process.kill()

    def freeze(self, how: signal.Signals = signal.SIGSTOP) -> None:
        """Stop it where it is: connections stay open and nothing answers any more; SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(how)

    def wait(self, timeout_s: float = 120) -> int:
        """Wait until it ends by itself; return its exit code."""
        assert self._process is not None
        return self._process.wait(timeout=timeout_s)

    def restart_when_it_ends(self, timeout_s: float = 120) -> int:
        """Do once what the service manager does; return the exit code of the process that ended."""
        code = self.wait(timeout_s)
        with self._lock:
            self._process = None
        self.start()
        return code

    def _drain(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.output.extend(process.stderr)
