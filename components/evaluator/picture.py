"""What can be seen of an encoded picture, as slices of the test split: nobody has to record it."""

from __future__ import annotations

import io
import math
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.features import UNKNOWN

SIDE: Final = 224  # pictures are compared at one size, px
# Measured on 400 images of HAM10000 at 224 px: a tenth of them is hairier, a tenth softer, a twentieth darker.
HAIRY: Final = 0.035  # share of pixels in thin dark lines
SOFT: Final = 0.17  # deviation of the Laplacian by that of the grey levels
DIM: Final = 120.0  # median grey level
_THIN: Final = 9  # px; wider dark structures are no hair
_DARKER: Final = 25  # grey levels
_MARGIN: Final = 34  # px on each side that are left out of sharpness: the skin there has no detail to lose
_FLAT: Final = 4.0  # grey levels; pictures without contrast must not divide by nothing


def image_quality(pixels: NDArray[np.uint8]) -> str:
    """Return ordinary, hairy, soft or dim; the first that applies, in the order dim, hairy, soft.

    Hair is what a black-hat leaves of lines thinner than 9 px (DullRazor: Lee et al. 1997); sharpness the deviation of
    the Laplacian (Pech-Pacheco et al. 2000), by the picture's own contrast. `pixels` are RGB, shape [224, 224, 3].
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if float(np.median(grey)) < DIM:
        return "dim"
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (_THIN, _THIN))
    if float((cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel) > _DARKER).mean()) > HAIRY:
        return "hairy"
    centre = grey[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    sharpness = float(cv2.Laplacian(centre, cv2.CV_32F).std()) / max(float(centre.std()), _FLAT)
    return "soft" if sharpness < SOFT else "ordinary"


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
# L* of the black frame a dermatoscope leaves in the corners; the darkest skin is lighter.
_VIGNETTE: Final = 12.0
_ENOUGH: Final = 0.05  # share of the picture that must be left as skin


def skin_tone(pixels: NDArray[np.uint8]) -> str:
    """Return the band of the individual typology angle of the skin in a picture's periphery.

    The lighter half of the periphery is skin where the lesion, hair or a ruler reach into it. The colour is the
    camera's: white balance and polarisation shift the angle, so bands compare images of one source only.

    Returns:
        very light, light, intermediate, tan, brown or dark; unknown where too little of the periphery shows skin.
    """
    angle = typology_angle(pixels)
    if angle is None:
        return UNKNOWN
    return next((name for limit, name in BANDS if angle > limit), DARKEST)


def typology_angle(pixels: NDArray[np.uint8]) -> float | None:
    """Return atan2(L* - 50, b*) of the median peripheral skin in RGB pixels, degrees; None where none is seen."""
    height, width = pixels.shape[:2]
    rows, columns = max(1, round(height * _RING)), max(1, round(width * _RING))
    ring = np.ones((height, width), dtype=bool)
    ring[rows:-rows, columns:-columns] = False
    luminance, blue = (_LINEAR[pixels[ring]] @ _TO_Y_AND_Z).T
    lightness = 116.0 * _cube_root(luminance) - 16.0
    seen = lightness > _VIGNETTE
    if seen.sum() < _ENOUGH * height * width:
        return None
    luminance, blue, lightness = luminance[seen], blue[seen], lightness[seen]
    skin = lightness >= np.median(lightness)
    yellow = 200.0 * (_cube_root(luminance[skin]) - _cube_root(blue[skin]))
    return math.degrees(math.atan2(float(np.median(lightness[skin])) - 50.0, float(np.median(yellow))))


# CIELAB (CIE 15:2004) of sRGB (IEC 61966-2-1) under D65: only L* and b* are asked, of grey levels that a table holds.
_LEVELS: Final = np.arange(256) / 255.0
_LINEAR: Final = np.where(_LEVELS > 0.04045, ((_LEVELS + 0.055) / 1.055) ** 2.4, _LEVELS / 12.92)
_TO_Y_AND_Z: Final = np.array([[0.212671, 0.019334], [0.715160, 0.119193], [0.072169, 0.950227]]) / [
    1.0,
    1.08883,
]


def _cube_root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0.008856, np.cbrt(values), 7.787 * values + 16.0 / 116.0)


class Seen(NamedTuple):
    """Slices of one picture: fields are named as the slice features are."""

    skin_tone: str
    image_quality: str


NOT_SEEN: Final = Seen(UNKNOWN, UNKNOWN)


def look(encoded: bytes) -> Seen:
    """Return the slices of an encoded picture (JPEG or PNG); unknown where it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            # A JPEG's decoder reduces by itself, at a fraction of the cost.
            image.draft("RGB", (SIDE, SIDE))
            pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return NOT_SEEN
    return Seen(skin_tone(pixels), image_quality(pixels))
