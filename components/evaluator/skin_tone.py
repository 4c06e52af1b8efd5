"""Skin tone, estimated from the skin around a lesion: who a model is measured on, where nobody recorded it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab

from core.features import UNKNOWN

SKIN_TONE: Final = "skin_tone"
# Limits of the individual typology angle, degrees (Chardon et al. 1991; Del Bino and Bernerd 2013).
BANDS: Final = (
    (55.0, "very light"),
    (41.0, "light"),
    (28.0, "intermediate"),
    (10.0, "tan"),
    (-30.0, "brown"),
)
DARKEST: Final = "dark"
_RING: Final = 0.12  # share of each side that is taken for skin
_VIGNETTE: Final = (
    12.0  # L* of the black frame a dermatoscope leaves in the corners; the darkest skin is lighter
)
_ENOUGH: Final = 0.05  # share of the picture that must be left as skin


def skin_tone(pixels: NDArray[np.uint8]) -> str:
    """Return the band of the individual typology angle of the skin in a picture's periphery.

    The lighter half of the periphery is skin where the lesion, hair or a ruler reach into it. The colour is the
    camera's: white balance and polarisation shift the angle, so bands compare images of one source only.

    Args:
        pixels: RGB, shape [height, width, 3].

    Returns:
        very light, light, intermediate, tan, brown or dark; unknown where too little of the periphery shows skin.
    """
    angle = typology_angle(pixels)
    if angle is None:
        return UNKNOWN
    return next((name for limit, name in BANDS if angle > limit), DARKEST)


def typology_angle(pixels: NDArray[np.uint8]) -> float | None:
    """Return atan2(L* - 50, b*) of the median peripheral skin, degrees; None where none is seen."""
    height, width = pixels.shape[:2]
    rows, columns = max(1, round(height * _RING)), max(1, round(width * _RING))
    ring = np.ones((height, width), dtype=bool)
    ring[rows:-rows, columns:-columns] = False
    lab = rgb2lab(pixels[ring][None])[0]
    seen = lab[lab[:, 0] > _VIGNETTE]
    if len(seen) < _ENOUGH * height * width:
        return None
    skin = seen[seen[:, 0] >= np.median(seen[:, 0])]
    lightness, _, yellow = np.median(skin, axis=0)
    return math.degrees(math.atan2(float(lightness) - 50.0, float(yellow)))
