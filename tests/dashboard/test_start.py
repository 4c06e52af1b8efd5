"""The start: what a person types, and what is said when it cannot be."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from dashboard.__main__ import main


class Refused(NamedTuple):
    """How a start ended that could not be."""

    code: object
    said: str


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Refused]:
    """Types the command, in this process, and gives its exit code and what it said on standard error."""

    def refused(*arguments: str) -> Refused:
        monkeypatch.setattr(sys, "argv", ["dashboard", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Refused(ended.value.code, capsys.readouterr().err)

    return refused


def test_the_first_start_prints_a_link_that_opens_and_ctrl_c_ends_it(workspace: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "--workspace", str(workspace), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        base = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert base is not None
        assert "first sign-in as admin, once" in process.stdout.readline()
        link = process.stdout.readline().strip()
        answer = httpx.get(link, timeout=120)
        assert answer.status_code == 200
        assert "Continue" in answer.text
        assert httpx.get(f"{base[0]}/healthz", timeout=120).json() == {"status": "ok"}
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode in (0, 130, -signal.SIGINT)


def test_what_is_wrong_is_said_without_a_traceback(
    tmp_path: Path, workspace: Path, start: Callable[..., Refused]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cases = {
            f"workspace {tmp_path / 'none'}: there is no such folder": [
                "--workspace",
                str(tmp_path / "none"),
            ],
            "choose another with --port": [
                "--workspace",
                str(workspace),
                "--port",
                str(taken.getsockname()[1]),
            ],
            "cannot be read": ["--workspace", str(workspace), "--config", str(tmp_path / "none.yaml")],
        }
        for message, arguments in cases.items():
            ended = start(*arguments)
            assert ended.code == 2
            assert message in ended.said
            assert "Traceback" not in ended.said


def test_a_place_that_cannot_be_used_is_named_with_what_to_do(
    tmp_path: Path, workspace: Path, start: Callable[..., Refused]
) -> None:
    corrupt = tmp_path / "corrupt.sqlite"
    corrupt.write_bytes(b"no database, ever" * 100)
    newer, unreleased = tmp_path / "newer.sqlite", tmp_path / "unreleased.sqlite"
    for path, revision in ((newer, "9999"), (unreleased, "0003")):
        with contextlib.closing(sqlite3.connect(path)) as store:
            store.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
            store.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
            store.commit()
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    (photographs / "a.jpg").touch()
    blocked = tmp_path / "blocked"
    blocked.touch()
    cases: dict[str, tuple[str, str]] = {
        "file is not a database; restore it": ("database_url", f"sqlite:///{corrupt}"),
        "made by a newer version of the dashboard": ("database_url", f"sqlite:///{newer}"),
        "between the first schema and the first release": ("database_url", f"sqlite:///{unreleased}"),
        "is PostgreSQL up": ("database_url", "postgresql+psycopg://dash@127.0.0.1:1/none"),
        "folder cannot be made: Not a directory; name another with state_dir": (
            "state_dir",
            str(blocked / "state"),
        ),
        "holds other files and no .melanosizer-workspace": ("workspace", str(photographs)),
    }
    for message, (key, value) in cases.items():
        config = tmp_path / "settings.yaml"
        config.write_text(f"{key}: {value}\n" + ("" if key == "workspace" else f"workspace: {workspace}\n"))
        ended = start("--config", str(config), "--port", "0")
        assert ended.code == 2, (message, ended.said)
        assert message in ended.said
        assert "Traceback" not in ended.said
