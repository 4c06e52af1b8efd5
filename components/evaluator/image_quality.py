"""What may be wrong with a picture: a model that fails on soft or hairy ones fails in practice."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

IMAGE_QUALITY: Final = "image_quality"
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
    the Laplacian (Pech-Pacheco et al. 2000), by the picture's own contrast.

    Args:
        pixels: RGB, shape [224, 224, 3].
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
