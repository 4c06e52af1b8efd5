"""Fixtures every room uses."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# `make test` draws the same examples every time; `make test-random` (part of `make test-slow`) draws others, and more.
# An example that took long says something of the machine, nothing of the code.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("random", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("MELANOSIZER_HYPOTHESIS", "same"))

# Folders whose files share something that takes long to make: pytest-xdist gives each to one process.
SHARING = (
    "tests/e2e",
    "tests/serving",
    "tests/pipeline/report",
    "tests/pipeline/kubeflow",
    "tests/containers",
)
# What takes longest begins first, so that no process is left with it at the end.
LONGEST = ("tests/e2e", "tests/components/trainer", "tests/studies", "tests/serving")

ROOT = Path(__file__).resolve().parents[1]
# Real images are never copied into the project: they lie beside it, or where this variable says.
REAL_DATA = Path(os.environ.get("MELANOSIZER_REAL_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each file's tests, or each sharing folder's, into one group of pytest-xdist."""
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        if item.get_closest_marker("xdist_group") is None:
            shared = next((folder for folder in SHARING if path.startswith(f"{folder}/")), path)
            item.add_marker(pytest.mark.xdist_group(shared))
    items.sort(key=lambda item: _turn(item.path.relative_to(ROOT).as_posix()))


def _turn(path: str) -> int:
    return next((turn for turn, folder in enumerate(LONGEST) if path.startswith(f"{folder}/")), len(LONGEST))


@pytest.fixture(scope="session")
def ham10000() -> Path:
    """The folder of 5,984 real dermoscopic images with `metadata.csv`; skips where it is absent."""
    return _real("ham10000")


@pytest.fixture(scope="session")
def segmentation() -> Path:
    """The folder of 444 real images with lesion masks; skips where it is absent."""
    return _real("segmentation")


def _real(name: str) -> Path:
    folder = REAL_DATA / name
    if not folder.is_dir():
        pytest.skip(f"no real images here: {folder} does not exist (set MELANOSIZER_REAL_DATA)")
    return folder
