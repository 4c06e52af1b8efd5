"""What the serving benchmark asks with, and who is stopped when a contestant does not start."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import serving_contestants
from benchmarks.serving_connections import GrpcConnection, ask_all


class Caller:
    """A connection whose other end answers at once, so many times, and then closes."""

    def __init__(self, answers: int) -> None:
        self.socket, self._server = socket.socketpair()
        self._left = answers

    def ask(self) -> None:
        self.socket.sendall(b"?")
        self._server.recv(1)
        self._server.sendall(b"!")
        self._left -= 1
        if not self._left:
            self._server.close()

    def read(self) -> bool:
        if not self.socket.recv(1):
            raise ConnectionError("the server has closed the connection")
        return True

    def close(self) -> None:
        self.socket.close()
        self._server.close()


@pytest.mark.parametrize("rate", [0.0, 200.0])
def test_a_caller_whose_connection_was_closed_is_one_error_and_is_not_waited_for(rate: float) -> None:
    leaving, staying = Caller(1), Caller(1_000_000)
    began = time.monotonic()
    rows, errors = ask_all([leaving, staying], time.time() + 1.5, rate)
    assert time.monotonic() - began < 45  # not the minute that an answer is waited for
    assert len(errors) == 1
    assert len(rows) > 2
    for one in (leaving, staying):
        one.close()


def test_without_callers_there_is_nothing_to_wait_for() -> None:
    both = [Caller(1), Caller(1)]
    began = time.monotonic()
    rows, errors = ask_all(both, time.time() + 60)
    assert time.monotonic() - began < 45
    assert (len(rows), len(errors)) == (2, 2)
    for one in both:
        one.close()


def test_a_request_that_http2_would_not_take_at_once_is_refused() -> None:
    with pytest.raises(SystemExit, match="at most 65535 can be sent"):
        GrpcConnection("127.0.0.1:1", "/a/b", [b"x" * 65_535])


def test_the_load_ends_with_a_benchmark_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
        load = "import pathlib, sys; from benchmarks.serving_load import load; load('rest', sys.argv[1], pathlib.Path(sys.argv[2]))"
        with subprocess.Popen(
            [sys.executable, "-c", load, target, str(tmp_path)], stderr=subprocess.DEVNULL
        ) as benchmark:
            try:
                server.settimeout(300)
                connection, _ = server.accept()
            finally:
                benchmark.kill()
        with connection:
            connection.settimeout(45)  # the load itself waits a minute for an answer
            while connection.recv(65536):
                pass


def test_who_was_started_is_stopped_when_another_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[Any] = []

    class Contestant:
        def __init__(self, command: list[str], *_: object, **__: object) -> None:
            if "gunicorn" in command:
                raise OSError("it cannot be started")

        def stop(self) -> None:
            stopped.append(self)

    monkeypatch.setattr(serving_contestants, "Contestant", Contestant)
    monkeypatch.setattr(
        serving_contestants, "run_module", lambda *_: (tmp_path / "lite0" / "1").mkdir(parents=True)
    )
    field = serving_contestants.Contestants(tmp_path, None, only_throughput=False)
    with pytest.raises(OSError, match="it cannot be started"):
        field.start()
    field.stop()
    assert stopped == [field.ours, field.light]
