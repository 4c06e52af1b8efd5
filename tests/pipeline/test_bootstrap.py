import platform
import shutil
import sys

import pytest

from pipeline.bootstrap import requirements, runtime
from pipeline.bootstrap.requirements import UnsupportedMachineError


def test_this_machine_has_what_it_needs():
    assert requirements.missing() == []


def test_another_processor_is_named(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    (problem,) = requirements.missing()
    assert "Linux on aarch64" in problem


def test_a_missing_compiler_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (problem,) = requirements.missing()
    assert "apt-get install g++" in problem


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    (problem,) = requirements.missing()
    assert "Python 3.9" in problem
    assert "PYTHON=python3.11" in problem


def test_a_c_library_that_is_not_glibc_is_named(monkeypatch):
    monkeypatch.setattr("os.confstr", lambda name: None)
    with pytest.raises(UnsupportedMachineError, match="not glibc"):
        requirements.glibc_version()


@pytest.mark.parametrize(
    ("text", "version"), [("glibc 2.36", (2, 36)), ("glibc 2.39", (2, 39)), ("glibc 2.41.1", (2, 41))]
)
def test_the_c_library_version_is_read_as_numbers(monkeypatch, text, version):
    monkeypatch.setattr("os.confstr", lambda name: text)
    assert requirements.glibc_version() == version


def test_this_environment_runs_on_a_c_library_that_is_new_enough():
    assert requirements.glibc_version() >= requirements.MIN_GLIBC


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("libc.so.6", True),
        ("libstdc++.so.6", True),
        ("ld-linux-x86-64.so.2", True),
        ("libnss_files.so.2", True),
        ("libgomp.so.1", True),
        ("libcrypt.so.1", False),
        ("libstdc++.so.6.0.33-gdb.py", False),
    ],
)
def test_only_the_c_and_c_plus_plus_runtime_is_taken(name, taken):
    assert bool(runtime.LIBRARIES.match(name)) is taken


def test_a_distribution_without_a_newer_release_is_told_which_have_one(monkeypatch):
    alpine = {"ID": "alpine", "PRETTY_NAME": "Alpine Linux v3.20"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: alpine)
    with pytest.raises(UnsupportedMachineError, match=r"Alpine Linux v3\.20 .*Debian 13, Ubuntu 24\.04"):
        runtime._distribution()


def test_a_failing_command_is_quoted_with_its_last_words():
    with pytest.raises(UnsupportedMachineError, match=r"`sh .*` failed with code 3: no such mirror"):
        runtime._run(["sh", "-c", "echo no such mirror >&2; exit 3"])
