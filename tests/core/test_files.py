"""Files that are replaced, appended to and locked."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import files


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "deep" / "record.json"
    files.write_atomic(target, "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(target, b"new")
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["record.json"]


def test_a_torn_line_costs_itself_only(tmp_path: Path) -> None:
    log = tmp_path / "registry" / "events.jsonl"
    files.append_line(log, "one")
    with log.open("a") as stream:
        stream.write('{"half')
    files.append_line(log, "two")
    assert log.read_text().splitlines() == ["one", '{"half', "two"]
    with pytest.raises(ValueError, match="line break"):
        files.append_line(log, "a\nb")


HOLDER = """
import pathlib, sys
from core import files
with files.exclusive_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(lock: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(lock)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_lock_keeps_processes_apart_and_ends_with_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with _holder(lock) as first, lock.open("a") as stream:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first.kill()
        first.wait(120)
        with _holder(lock) as second:
            assert second.communicate(timeout=120)[0] == "held\n"


@pytest.mark.parametrize("content", [b"", b'{"a":', b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_a_json_object_reads_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record.json"
    assert files.read_json(path) is None
    path.write_bytes(content)
    assert files.read_json(path) is None
    path.write_text('{"a": 1}')
    assert files.read_json(path) == {"a": 1}
