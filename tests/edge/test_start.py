"""A start that fails says in one sentence what to do, and ends with code 2."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from edge import run
from edge.__main__ import main
from edge.queue import queue as queue_module
from tests.support.edge_doubles import ModelServer
from tests.support.edge_process import DeviceProcess


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence of a start that is refused."""
    assert main(["run", "--port", "0", *arguments]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("melanosizer-edge: ")
    assert shown.count("\n") == 1 + shown.count("\n  ")
    return shown


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_state_folder_that_is_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], inside: str
) -> None:
    (tmp_path / "state").write_text("a file")
    assert "is a file, not a folder: move it away, or give another folder with --state" in refused(
        ["--state", str(tmp_path / "state" / inside)], capsys
    )


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EROFS, "read-only file system: mount the data partition writable"),
        (errno.ENOSPC, "the disk is full: make room on the card"),
        (errno.EACCES, "may not be written by this user: change its owner"),
        (errno.EIO, "Input/output error; choose another folder with --state DIR"),
    ],
)
def test_a_disk_that_refuses(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    says: str,
) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "state" / "key.check"))

    monkeypatch.setattr(queue_module, "write_atomic", refuse)
    assert says in refused(["--state", str(tmp_path / "state")], capsys)


def test_a_database_on_a_full_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(queue_module.ExaminationStore, "__init__", full)
    assert "make room on the card" in refused(["--state", str(tmp_path / "state")], capsys)


def test_an_empty_key_after_a_power_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    key = state / "storage.key"
    key.touch(mode=0o600)
    # Nothing was sealed yet: a new key takes the empty one's place.
    started: list[Any] = []
    monkeypatch.setattr(run.uvicorn.Server, "run", lambda _self, sockets: started.append(sockets))
    arguments = ["--state", str(state), "--camera", f"folder:{tmp_path}"]
    assert main(["run", *arguments, "--port", "0"]) == 0
    assert started
    assert "melanosizer-edge: ready: open http://127.0.0.1:" in capsys.readouterr().err
    assert len(key.read_text().strip()) == 64
    key.write_text("")
    said = refused(arguments, capsys)
    assert "the key file is empty, as a power cut can leave it: put your copy of it back" in said


def test_a_start_leaves_the_log_handlers_of_other_libraries_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TensorFlow's closes standard error with it, as pytest had replaced it when TensorFlow was imported.
    closed: list[str] = []

    class Handler(logging.Handler):
        def close(self) -> None:
            closed.append(self.get_name() or "")

    handler = Handler()
    monkeypatch.setattr(run.uvicorn.Server, "run", lambda _self, sockets: None)
    arguments = ["--state", str(tmp_path / "state"), "--camera", f"folder:{tmp_path}", "--port", "0"]
    assert main(["run", *arguments]) == 0
    assert not closed
    logging.Handler.close(handler)


def test_a_running_device_is_watched_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Event()
    monkeypatch.setattr(run, "watch", lambda _stalled: looked.set())
    monkeypatch.setattr(run.uvicorn.Server, "run", lambda _self, sockets: looked.wait(120))
    arguments = ["--state", str(tmp_path / "state"), "--camera", f"folder:{tmp_path}", "--port", "0"]
    assert main(["run", *arguments]) == 0
    assert looked.is_set()
    assert "watchdog" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("address", ["http://models:8500", "https://models:8500/v1", "grpc://models:8500"])
def test_a_server_address_with_a_scheme(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(["--server", address, "--state", str(tmp_path)], capsys)
    assert "is not a server address; valid: HOST:PORT" in said
    assert f"leave {address.split(':')[0]}:// out: models:8500" in said


def test_a_second_process_on_the_same_folder(
    tmp_path: Path, camera_folder: Path, model_server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(
        f'[device]\nstate_dir = "{tmp_path / "state"}"\n[camera]\nsource = "folder:{camera_folder}"\n'
        f'[server]\naddresses = ["{model_server.address}"]\n[kiosk]\nport = 0\n'
    )
    first = DeviceProcess(config)
    first.start()
    try:
        # Good news is not a warning.
        assert first.output[-1] == f"melanosizer-edge: ready: open {first.url}\n"
        said = refused(["--config", str(config)], capsys)
        assert "is in use by another process (process " in said
        assert main(["export", "--config", str(config), "--to", str(tmp_path / "out")]) == 2
        assert "stop it, or give another folder" in capsys.readouterr().err
    finally:
        first.kill()
    # A power cut leaves the lock's file, and no lock.
    first.start()
    first.stop()
