"""A user without a home folder or an entry in /etc/passwd, as OpenShift runs containers."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core import process
from edge.config import SYSTEM_STATE, DeviceSection

NOBODY = """
import pwd, runpy, sys
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def absent(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", absent)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "")  # so that what is set below is taken back
    monkeypatch.delenv("HOME")
    return tmp_path


def test_a_home_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert process.ensure_home() == tmp_path


def test_who_has_none_gets_one_that_is_theirs_alone_and_the_same_again(nobody: Path) -> None:
    given = process.ensure_home()
    assert (given.parent, given.stat().st_mode & 0o777) == (nobody, 0o700)
    assert Path.home() == given
    os.environ.pop("HOME")
    assert process.ensure_home() == given


def test_a_folder_that_somebody_else_laid_there_is_not_taken(nobody: Path) -> None:
    laid = nobody / f"melanosizer-home-{os.geteuid()}"
    laid.symlink_to(nobody)
    given = process.ensure_home()
    assert given != laid
    assert given.stat().st_mode & 0o777 == 0o700


def test_a_user_without_a_name_is_told_by_number(nobody: Path) -> None:
    assert process.user() == f"uid {os.getuid()}"


def test_a_device_without_a_home_keeps_examinations_where_they_last(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000730000)
    assert DeviceSection().state_dir == SYSTEM_STATE


@pytest.mark.parametrize(
    ("module", "arguments", "code"),
    [
        ("pipeline", ["--version"], 0),
        ("pipeline", ["presets"], 0),
        ("pipeline", ["synth", "--out", "drawn", "--images", "10", "--size", "96"], 0),
        ("pipeline", ["models", "list"], 2),
        ("pipeline", ["--install-completion", "bash"], 0),
        ("serving", ["--version"], 0),
        ("edge", ["--version"], 0),
    ],
    ids=str,
)
def test_the_light_commands_work_without_a_home(
    module: str, arguments: list[str], code: int, tmp_path: Path
) -> None:
    keep = {key: value for key, value in os.environ.items() if key not in ("HOME", "USER", "LOGNAME")}
    root = str(Path(__file__).resolve().parents[2])
    # Typer asks which shell started it; below make that is sh, which it has no completion for.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, module, *arguments],
        cwd=tmp_path,
        env={**keep, **named, "TMPDIR": str(tmp_path), "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
