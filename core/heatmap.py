"""Paints a model's heat map over the photograph it was asked about."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.images.decode import encode_jpeg

_STRENGTH = 0.6  # share of colour where the map is highest
_QUALITY = 85


def paint(photograph: bytes, heat: bytes | NDArray[np.float32], side: int | None = None) -> bytes:
    """Return a JPEG of the photograph with the map over it, in yellow to red.

    Args:
        photograph: JPEG or PNG as it was sent; like TensorFlow's decoder, this one turns nothing by EXIF, so map and
            photograph lie the same way.
        heat: numbers of any scale, shape [height, width], or the finished picture of a model that paints for itself,
            which is passed on encoded again.
        side: longest side of the answer, px; the photograph's own if None.

    Raises:
        OSError: the photograph or the finished picture cannot be decoded.
    """
    if isinstance(heat, bytes):
        with Image.open(io.BytesIO(heat), formats=("JPEG", "PNG")) as ready:
            return encode_jpeg(ready.convert("RGB"), _QUALITY)
    with Image.open(io.BytesIO(photograph), formats=("JPEG", "PNG")) as opened:
        picture = opened.convert("RGB")
    if side is not None:
        picture.thumbnail((side, side))
    low, high = float(heat.min()), float(heat.max())
    scaled = ((heat - low) / (high - low) if high > low else np.zeros_like(heat)).astype(np.float32)
    grown = Image.fromarray(scaled).resize(picture.size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(grown, np.float32), 0, 1)[..., None]
    colour = np.concatenate(
        [np.full_like(strength, 255), 220 * (1 - strength), np.zeros_like(strength)], axis=2
    )
    mixed = np.asarray(picture, np.float32) * (1 - _STRENGTH * strength) + colour * _STRENGTH * strength
    return encode_jpeg(Image.fromarray(mixed.clip(0, 255).astype(np.uint8)), _QUALITY)
