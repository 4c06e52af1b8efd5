"""Texture of the lesion: contrast, correlation, homogeneity and energy of grey-level co-occurrence.

Source: Haralick, Shanmugam, Dinstein, "Textural features for image classification", IEEE Transactions on
Systems, Man and Cybernetics 3 (1973) 610-621.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from skimage.feature import graycomatrix, graycoprops

from studies.baselines.hair import Picture
from studies.baselines.otsu import Mask

_PROPERTIES: Final = ("contrast", "correlation", "homogeneity", "energy")
_DISTANCES: Final = (1, 4)
_ANGLES: Final = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_LEVELS: Final = 32

NAMES: Final = tuple(
    f"glcm_{name}_{distance}_{kind}"
    for name in _PROPERTIES
    for distance in _DISTANCES
    for kind in ("mean", "range")
)


def measure(picture: Picture, lesion: Mask) -> npt.NDArray[np.float64]:
    """Return mean and range over four directions of each property at each distance: [16]."""
    rows, columns = np.where(lesion)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[box]
    # Level 0 stands for "outside": its row and column are struck out, so only pairs inside are counted.
    levels = np.where(lesion[box], 1 + grey.astype(np.int32) * _LEVELS // 256, 0).astype(np.uint8)
    pairs = graycomatrix(levels, _DISTANCES, _ANGLES, levels=_LEVELS + 1, symmetric=True)
    inside = pairs[1:, 1:].astype(np.float64)
    values = [graycoprops(inside, name) for name in _PROPERTIES]  # each [distances, angles]
    return np.array([f(row) for value in values for row in value for f in (np.mean, np.ptp)])
