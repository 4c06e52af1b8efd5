"""Drawn pictures that warm a server up: what is pushed carries no patient's."""

from __future__ import annotations

from typing import Final

import numpy as np
import tensorflow as tf

# Width and height, px: HAM10000's, those a device sends, and the ISIC Archive's squares.
_SIZES: Final = ((600, 450), (1000, 750), (1024, 1024))
_GRAIN: Final = 32  # blobs along the longer side: as smooth as skin, and as small a file
_SKIN: Final = (205.0, 160.0, 140.0)


def pictures() -> list[bytes]:
    """JPEG files, the same in every call, one each of the sizes that cameras and archives have."""
    return [_picture(number, *size) for number, size in enumerate(_SIZES)]


def _picture(seed: int, width: int, height: int) -> bytes:
    """A dark disc on noise in the colour of skin."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(0.0, 12.0, (_GRAIN * height // width, _GRAIN, 3)).astype(np.float32)
    skin = tf.image.resize(noise, [height, width]).numpy() + np.array(_SKIN, np.float32)
    y, x = np.mgrid[:height, :width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
    skin[inside] *= 0.5
    encoded: bytes = tf.io.encode_jpeg(np.clip(skin, 0, 255).astype(np.uint8), quality=92).numpy()
    return encoded
