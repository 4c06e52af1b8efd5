"""Paints a bare heat map over its photograph, for models that send numbers instead of a picture."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from edge.camera.photograph import pixels_of


def paint(jpeg: bytes, heat: npt.NDArray[np.float32]) -> bytes:
    """A JPEG of the photograph with `heat` ([height, width], any scale) laid over it in yellow to red."""
    pixels = pixels_of(jpeg).astype(np.float32)
    height, width = pixels.shape[:2]
    low, high = float(heat.min()), float(heat.max())
    scaled = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    grown = Image.fromarray(scaled).resize((width, height), Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(grown, np.float32), 0, 1)[..., None]
    colour = np.concatenate(
        [np.full_like(strength, 255), 220 * (1 - strength), np.zeros_like(strength)], axis=2
    )
    mixed = pixels * (1 - 0.6 * strength) + colour * 0.6 * strength
    target = io.BytesIO()
    Image.fromarray(mixed.clip(0, 255).astype(np.uint8)).save(target, "JPEG", quality=85)
    return target.getvalue()
