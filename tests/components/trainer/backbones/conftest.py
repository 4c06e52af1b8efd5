"""Photographs whose content is known, and what their classifier must say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import skimage.data
import sklearn.datasets

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_SKIMAGE = Path(skimage.data.__file__).parent
_SKLEARN = Path(sklearn.datasets.__file__).parent / "images"

# ImageNet's class numbers that are right for each photograph.
PHOTOGRAPHS = {
    _SKIMAGE / "coffee.png": {967, 968},  # espresso, cup
    _SKIMAGE / "chelsea.png": {281, 282, 285},  # tabby, tiger cat, Egyptian cat
    _SKIMAGE / "camera.png": {872},  # tripod
    _SKIMAGE / "motorcycle_left.png": {665, 670},  # moped, motor scooter
    _SKLEARN / "china.jpg": {698},  # palace
}


@pytest.fixture
def photographs() -> dict[Path, set[int]]:
    return PHOTOGRAPHS
