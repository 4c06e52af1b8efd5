"""Colour of the lesion and of the skin around it.

Source: Ganster et al., "Automated melanoma recognition", IEEE Transactions on Medical Imaging 20 (2001) 233-239:
moments of each channel inside the lesion, and the difference from the surrounding skin.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from studies.baselines.hair import Picture
from studies.baselines.otsu import Mask

_CHANNELS: Final = ("red", "green", "blue", "hue", "saturation", "value", "lightness", "a", "b")
_STATISTICS: Final = ("mean", "deviation", "skewness")

NAMES: Final = tuple(f"{channel}_{name}" for channel in _CHANNELS for name in (*_STATISTICS, "contrast"))


def measure(picture: Picture, lesion: Mask) -> npt.NDArray[np.float64]:
    """Return mean, deviation, skewness and contrast to the skin of nine channels, each in 0..1: [36]."""
    planes = np.concatenate(
        [
            picture,
            cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL),
            cv2.cvtColor(picture, cv2.COLOR_RGB2LAB),
        ],
        axis=2,
    ).astype(np.float64)
    planes /= 255.0
    inside = planes[lesion]
    outside = planes[~lesion] if (~lesion).sum() > 100 else planes.reshape(-1, planes.shape[2])
    mean, deviation = inside.mean(axis=0), inside.std(axis=0)
    skewness = ((inside - mean) ** 3).mean(axis=0) / np.maximum(deviation, 1e-3) ** 3
    contrast = mean - outside.mean(axis=0)
    return np.stack([mean, deviation, skewness, contrast], axis=1).ravel()
