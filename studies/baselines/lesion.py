"""Finds the lesion in a picture: hair is painted over, then one threshold tells lesion from skin."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

# Hair removal: dark thin lines are found by closings and painted over.
#
# Source: Lee, Ng, Gallagher, Coldman, McLean, "DullRazor: a software approach to hair removal from images",
# Computers in Biology and Medicine 27 (1997) 533-543: closings of the grey picture with lines in several
# directions, a threshold on the difference, and interpolation over what was found.

Picture = npt.NDArray[np.uint8]

_LINE: Final = 11  # px at 224: longer than a hair is wide, shorter than a lesion
_DARKER: Final = 14  # grey levels below the closed picture
_LONG: Final = 24  # px: anything shorter is a dot or a streak of the lesion
_ELONGATED: Final = 3.0


def without_hair(picture: Picture) -> Picture:
    """Return the picture (uint8 [h, w, 3], RGB) with hairs painted over."""
    found = hair_mask(picture)
    if not found.any():
        return picture
    return np.asarray(cv2.inpaint(picture, found, 3, cv2.INPAINT_TELEA), np.uint8)


def hair_mask(picture: Picture) -> Picture:
    """Return where hairs are: uint8 [h, w], 0 or 1."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    closed = np.max([cv2.morphologyEx(grey, cv2.MORPH_CLOSE, line) for line in _lines()], axis=0)
    dark = (closed.astype(np.int16) - grey > _DARKER).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    length = np.hypot(sides[:, 0], sides[:, 1])
    # A hair covers little of a disc as wide as it is long.
    hair = (length >= _LONG) & (length**2 / np.maximum(stats[:, cv2.CC_STAT_AREA], 1) >= _ELONGATED)
    hair[0] = False
    if count < 2 or not hair.any():
        return np.zeros_like(grey)
    return np.asarray(cv2.dilate(hair[labels].astype(np.uint8), np.ones((3, 3), np.uint8)), np.uint8)


def _lines() -> list[Picture]:
    flat = np.zeros((_LINE, _LINE), np.uint8)
    flat[_LINE // 2] = 1
    slanted = np.eye(_LINE, dtype=np.uint8)
    return [flat, np.ascontiguousarray(flat.T), slanted, np.ascontiguousarray(slanted[::-1])]


# Lesion segmentation by one threshold: the darker of two grey classes, as one filled region.
#
# Source: Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man and
# Cybernetics 9 (1979) 62-66.

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
    weights = ndimage.sum_labels(np.exp(-_distance(*dark.shape)), labels, np.arange(1, count + 1))
    return np.asarray(labels == 1 + int(np.argmax(weights)))


def _middle(height: int, width: int) -> Mask:
    return np.asarray(_distance(height, width) <= 1)


def _distance(height: int, width: int) -> npt.NDArray[np.float64]:
    """Squared distance from the centre; 1 on the rim of the middle."""
    ys, xs = np.ogrid[:height, :width]
    return np.asarray(((ys - height / 2) / (0.35 * height)) ** 2 + ((xs - width / 2) / (0.35 * width)) ** 2)
