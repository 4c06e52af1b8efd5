"""Paints a heat map over its photograph."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 448


def paint(image: bytes, heat: bytes | NDArray[np.float32]) -> bytes:
    """A JPEG of the photograph with the map over it in yellow to red; a picture is passed on, re-encoded."""
    if isinstance(heat, bytes):
        with Image.open(io.BytesIO(heat), formats=("JPEG", "PNG")) as ready:
            return _encoded(ready.convert("RGB"))
    with Image.open(io.BytesIO(image), formats=("JPEG", "PNG")) as opened:
        photograph = opened.convert("RGB")
    photograph.thumbnail((SIDE, SIDE))
    pixels = np.asarray(photograph, np.float32)
    low, high = float(heat.min()), float(heat.max())
    scaled = ((heat - low) / (high - low) if high > low else np.zeros_like(heat)).astype(np.float32)
    grown = Image.fromarray(scaled).resize(photograph.size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(grown, np.float32), 0, 1)[..., None]
    colour = np.concatenate(
        [np.full_like(strength, 255), 220 * (1 - strength), np.zeros_like(strength)], axis=2
    )
    mixed = pixels * (1 - 0.6 * strength) + colour * 0.6 * strength
    return _encoded(Image.fromarray(mixed.clip(0, 255).astype(np.uint8)))


def _encoded(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=85)
    return target.getvalue()
