"""A drawn lesion for self-tests and demonstrations: no patient's, and never to be judged as one."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image


def draw(width: int = 1024, height: int = 768, seed: int = 0, x: float = 0.5, y: float = 0.5) -> bytes:
    """Return a JPEG of a brown, irregular spot on pale skin, its middle at `x`, `y` (0..1)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    right, down = (columns - x * width) / height, (rows - y * height) / height
    angle = np.arctan2(down, right)
    edge = np.full_like(angle, 0.19)
    for lobes in range(2, 7):
        edge += 0.05 / lobes * np.sin(lobes * angle + random.uniform(0, 2 * np.pi))
    inside = 1 / (1 + np.exp((np.hypot(right, down) - edge) * 45))[..., None]
    skin = np.array([222.0, 180.0, 160.0], np.float32)
    spot = np.array([132.0, 84.0, 62.0], np.float32)
    patches = _clouds(random, width, height, 96) * 26
    net = np.abs(_clouds(random, width, height, 18)) * 22
    grain = _clouds(random, width, height, 4) * 2.5 + random.normal(0, 3, (height, width, 1)).astype(
        np.float32
    )
    pixels = (
        skin * (1 - inside)
        + (spot + patches - net) * inside
        + _clouds(random, width, height, 160) * 5
        + grain
    )
    target = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target, "JPEG", quality=90)
    return target.getvalue()


def _clouds(random: np.random.Generator, width: int, height: int, size: int) -> npt.NDArray[np.float32]:
    """Smooth noise of unit spread whose spots are about `size` pixels."""
    coarse = random.normal(0, 1, (height // size + 3, width // size + 3)).astype(np.float32)
    grown = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(grown, np.float32)[..., None]
