"""A drawn lesion for self-tests and demonstrations: no patient's, and never to be judged as one."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def draw(width: int = 1024, height: int = 768, seed: int = 0, x: float = 0.5, y: float = 0.5) -> bytes:
    """A JPEG of a brown, irregular spot on pale skin, its middle at `x`, `y` (0..1)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    right, down = (columns - x * width) / height, (rows - y * height) / height
    angle = np.arctan2(down, right)
    edge = 0.2 + 0.03 * np.sin(3 * angle + seed) + 0.02 * np.sin(7 * angle)
    inside = 1 / (1 + np.exp((np.hypot(right, down) - edge) * 60))[..., None]
    skin = np.array([222.0, 178.0, 156.0], np.float32)
    spot = np.array([112.0, 70.0, 52.0], np.float32)
    coarse = random.normal(0, 10, (height // 8, width // 8)).astype(np.float32)
    texture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))[..., None]
    grain = random.normal(0, 5, (height, width, 1)).astype(np.float32)
    pixels = skin * (1 - inside) + spot * inside + texture + grain
    target = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target, "JPEG", quality=90)
    return target.getvalue()
