"""Hair removal: dark thin lines are found by closings and painted over.

Source: Lee, Ng, Gallagher, Coldman, McLean, "DullRazor: a software approach to hair removal from images",
Computers in Biology and Medicine 27 (1997) 533-543: closings of the grey picture with lines in several
directions, a threshold on the difference, and interpolation over what was found.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

_LINE: Final = 11  # px at 224: longer than a hair is wide, shorter than a lesion
_DARKER: Final = 14  # grey levels below the closed picture
_LONG: Final = 24  # px: anything shorter is a dot or a streak of the lesion
_ELONGATED: Final = 3.0


def remove(picture: Picture) -> Picture:
    """Return the picture (uint8 [h, w, 3], RGB) with hairs painted over."""
    found = mask(picture)
    if not found.any():
        return picture
    return np.asarray(cv2.inpaint(picture, found, 3, cv2.INPAINT_TELEA), np.uint8)


def mask(picture: Picture) -> Picture:
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
