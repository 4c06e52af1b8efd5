"""Lesion segmentation by one threshold: the darker of two grey classes, as one filled region.

Source: Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man and
Cybernetics 9 (1979) 62-66.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from studies.baselines.hair import Picture

Mask = npt.NDArray[np.bool_]

_SMALLEST: Final = 0.003  # share of the picture
_LARGEST: Final = 0.95


def segment(picture: Picture) -> Mask:
    """Return the lesion (bool [h, w]) in a picture without hair (uint8 [h, w, 3], RGB).

    Where no region is found the middle of the picture is taken: a mask is never empty.
    """
    height, width = picture.shape[:2]
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), max(height, width) / 100)
    field = _field_of_view(grey)
    limit, _ = cv2.threshold(grey[field].reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = (grey <= limit) & field
    dark = ndimage.binary_opening(dark, iterations=2)
    region = _best_region(dark)
    if region is None:
        return _middle(height, width)
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(region, iterations=3) | region)
    share = float(filled.mean())
    return filled if _SMALLEST <= share <= _LARGEST else _middle(height, width)


def _field_of_view(grey: npt.NDArray[np.uint8]) -> Mask:
    """Everything but the black corners that a dermatoscope's tube leaves."""
    black = grey < 25
    labels, count = ndimage.label(black)
    if not count:
        return np.ones_like(black)
    corners = {int(labels[y, x]) for y in (0, -1) for x in (0, -1)} - {0}
    field = ~np.isin(labels, list(corners))
    return field if field.mean() > 0.2 else np.ones_like(black)


def _best_region(dark: Mask) -> Mask | None:
    """The region that covers most of the middle: area weighted by closeness to the centre."""
    labels, count = ndimage.label(dark)
    if not count:
        return None
    height, width = dark.shape
    ys, xs = np.ogrid[:height, :width]
    near = np.exp(-(((ys - height / 2) / (0.35 * height)) ** 2 + ((xs - width / 2) / (0.35 * width)) ** 2))
    weights = ndimage.sum_labels(near, labels, np.arange(1, count + 1))
    return np.asarray(labels == 1 + int(np.argmax(weights)))


def _middle(height: int, width: int) -> Mask:
    ys, xs = np.ogrid[:height, :width]
    return np.asarray(
        ((ys - height / 2) / (0.35 * height)) ** 2 + ((xs - width / 2) / (0.35 * width)) ** 2 <= 1
    )
