"""From a picture's bytes to the figures that the classical systems look at; knows no TensorFlow."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from studies.baselines import abcd, colour, hair, otsu, texture

SIDE: Final = 224  # px, of the longer side: what the limits of hair and border were chosen at
NAMES: Final = (
    *(f"abcd_{name}" for name in abcd.Abcd._fields),
    *texture.NAMES,
    *colour.NAMES,
    *(f"share_{name}" for name in ("white", "red", "light_brown", "dark_brown", "blue_grey", "black")),
)
TOTAL: Final = NAMES.index("abcd_total")


def describe(image_bytes: bytes) -> npt.NDArray[np.float32]:
    """Return the figures named by `NAMES` of one encoded picture: float32 [68].

    Raises:
        ValueError: the bytes are no picture.
    """
    read = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError("the bytes are no picture")
    picture = np.asarray(cv2.cvtColor(_small(np.asarray(read, np.uint8)), cv2.COLOR_BGR2RGB), np.uint8)
    bare = hair.remove(picture)
    lesion = otsu.segment(bare)
    values = np.concatenate(
        [
            abcd.measure(bare, lesion),
            texture.measure(bare, lesion),
            colour.measure(bare, lesion),
            abcd.colour_shares(bare[lesion]),
        ]
    )
    return np.nan_to_num(values).astype(np.float32)


def _small(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scale = SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
