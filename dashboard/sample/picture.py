"""A picture of something round and brown."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw, ImageFilter

WARM = (206.0, 152.0, 132.0)


def picture(seed: int, *, malignant: bool = False, side: int = 96) -> bytes:
    """A JPEG of something round and brown."""
    chance = random.Random(seed)  # noqa: S311
    image = Image.new("RGB", (side, side), tuple(int(c + chance.uniform(-12, 12)) for c in WARM))
    draw = ImageDraw.Draw(image)
    middle, radius = side / 2, side * chance.uniform(0.18, 0.3)
    for _ in range(7 if malignant else 2):
        dx, dy = (chance.uniform(-1, 1) * side * (0.13 if malignant else 0.02) for _ in range(2))
        brown = tuple(int(c * chance.uniform(0.35, 0.75 if malignant else 0.55)) for c in (180, 118, 84))
        box = (middle + dx - radius, middle + dy - radius, middle + dx + radius, middle + dy + radius)
        draw.ellipse(box, fill=brown)
    target = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(1.2)).save(target, "JPEG", quality=88)
    return target.getvalue()
