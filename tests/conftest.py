"""Fixtures every room uses."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# An example that took long says something of the machine, nothing of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
# Real images are never copied into the project: they lie beside it, or where this variable says.
REAL_DATA = Path(os.environ.get("MELANOSIZER_REAL_DATA", ROOT.parent / "shared" / "data"))


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
