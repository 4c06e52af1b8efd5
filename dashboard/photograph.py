"""Looks at an image before anything else does, and measures what drift is watched by."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageStat, UnidentifiedImageError

# The server reduces images so before it measures them; figures must be comparable with its records.
SIDE = 256
THUMBNAIL = 192


class ImageRefusedError(ValueError):
    """What was sent is no picture this takes; the text says why."""


@dataclass(frozen=True)
class Facts:
    """What is kept of a picture; the picture itself is not."""

    sha256: str
    bytes: int
    format: str
    width: int
    height: int
    brightness: float  # mean of the three channels, 0 to 255
    contrast: float  # mean of their standard deviations
    redness: float  # share of red in red + green + blue
    sharpness: float  # standard deviation of the Laplacian of the grey picture at 256 x 256


def look(data: bytes, *, max_bytes: int, max_pixels: int) -> Facts:
    """Facts of a JPEG or PNG. Raises ImageRefusedError."""
    if not data:
        raise ImageRefusedError("is empty")
    if len(data) > max_bytes:
        raise ImageRefusedError(f"has {len(data)} bytes, more than {max_bytes}")
    if not data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        raise ImageRefusedError("is neither JPEG nor PNG")
    try:
        # Only these two decoders are tried, whatever the bytes pretend to be.
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageRefusedError(f"has {width} x {height} pixels, more than {max_pixels} in all")
            kind = str(image.format).lower()
            image.draft("RGB", (SIDE, SIDE))
            picture = image.convert("RGB")
    except ImageRefusedError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ImageRefusedError(f"cannot be decoded: {str(error)[:120]}") from None
    if max(picture.size) > 2 * SIDE:
        picture.thumbnail((SIDE, SIDE))
    statistics = ImageStat.Stat(picture)
    total = sum(statistics.mean) or 1.0
    return Facts(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        format=kind,
        width=width,
        height=height,
        brightness=round(sum(statistics.mean) / 3, 2),
        contrast=round(sum(statistics.stddev) / 3, 2),
        redness=round(statistics.mean[0] / total, 4),
        sharpness=_sharpness(picture),
    )


def _sharpness(picture: Image.Image) -> float:
    """Standard deviation of the Laplacian, at one scale whatever the camera: 256 x 256."""
    grey = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.int16)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return round(float((around - 4 * grey[1:-1, 1:-1]).std()), 3)


def thumbnail(data: bytes) -> bytes:
    """A small JPEG. Raises ImageRefusedError."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            image.draft("RGB", (THUMBNAIL, THUMBNAIL))
            small = image.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ImageRefusedError(f"cannot be decoded: {error}") from None
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    target = io.BytesIO()
    small.save(target, "JPEG", quality=82)
    return target.getvalue()
