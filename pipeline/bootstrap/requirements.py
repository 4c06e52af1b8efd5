"""What a machine must have before anything can be installed."""

from __future__ import annotations

import os
import platform
import shutil
import sys

MIN_PYTHON = (3, 11)
MAX_PYTHON = (3, 13)

# The Linux wheels of ml-metadata 1.21 and tensorflow-data-validation 1.21 are tagged
# manylinux_2_39: pip offers them to an interpreter on this C library or newer.
MIN_GLIBC = (2, 39)


class UnsupportedMachineError(Exception):
    """This machine cannot run the pipeline; the message says what is missing and how to mend it."""


def glibc_version() -> tuple[int, int]:
    """Return the version of the C library this interpreter runs on, e.g. ``(2, 41)``.

    Raises:
        UnsupportedMachineError: the C library is not glibc (musl, for example).
    """
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
        name, version = text.split()
        major, minor = version.split(".")[:2]
    except (ValueError, OSError) as error:
        raise UnsupportedMachineError(
            "the C library is not glibc: TensorFlow has no wheels for it; "
            "use a glibc distribution (Debian, Ubuntu, Fedora)"
        ) from error
    if name != "glibc":
        raise UnsupportedMachineError(f"the C library is {name}: TensorFlow needs glibc")
    return int(major), int(minor)


def missing() -> list[str]:
    """Return one sentence for each thing that is missing, each with its mend; empty when all is there."""
    problems = []
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine != "x86_64":
        problems.append(
            f"this is {system} on {machine}: TFX has wheels for Linux on x86_64 only; "
            "use such a machine or the container image"
        )
    if not MIN_PYTHON <= sys.version_info[:2] <= MAX_PYTHON:
        problems.append(
            f"this is Python {sys.version_info[0]}.{sys.version_info[1]}: "
            f"{MIN_PYTHON[0]}.{MIN_PYTHON[1]} to {MAX_PYTHON[0]}.{MAX_PYTHON[1]} are supported; "
            "set PYTHON=python3.11 for make"
        )
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++")):
        problems.append(
            "no C++ compiler: pyfarmhash, which TFX needs, is built at install time; "
            "install g++ (Debian: apt-get install g++)"
        )
    return problems
