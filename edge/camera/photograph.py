"""A capture made ready: decoded once, scaled, encoded once, and free of hidden metadata."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]

MOST_PIXELS = 64_000_000  # a 64-megapixel sensor; more is a decompression bomb
ORIENTATION = 0x0112
# Scaled decoding gives 1/2, 1/4 or 1/8 of the sensor's size; up to this much larger than asked for, a second
# resampling would cost more time than it saves bytes.
CLOSE_ENOUGH = 1.25


class BadPhotographError(Exception):
    """Bytes that are no usable image; the text says why."""


@dataclass(frozen=True)
class Photograph:
    """What is kept and sent of a capture."""

    jpeg: bytes
    sha256: str
    width: int
    height: int
    pixels: Pixels  # [height, width, 3] RGB of `jpeg`, for the quality checks


def prepare(capture: bytes, longest_edge: int, quality: int) -> Photograph:
    """Make a capture ready to be kept and sent.

    A JPEG that is small enough already keeps its own compressed pixels, bit for bit, and only loses its
    metadata (EXIF may hold a place, a time or a name). Raises BadPhotographError.
    """
    image = _open(capture)
    turned = image.getexif().get(ORIENTATION, 1) not in (0, 1)
    if image.format == "JPEG" and image.mode == "RGB" and not turned and max(image.size) <= longest_edge:
        jpeg = strip_metadata(capture)
        pixels = np.asarray(_decode(image))
    else:
        small = _scaled(image, longest_edge)
        jpeg = _encode(small, quality)
        pixels = np.asarray(small)
    height, width = pixels.shape[:2]
    return Photograph(jpeg, hashlib.sha256(jpeg).hexdigest(), width, height, pixels)


def shrink(capture: bytes, edge: int) -> bytes:
    """Return a small JPEG for the screen; raises BadPhotographError."""
    return _encode(_scaled(_open(capture), edge), 80)


def pixels_of(jpeg: bytes) -> Pixels:
    """Return the [height, width, 3] RGB pixels of an image file; raises BadPhotographError."""
    return np.asarray(_decode(_open(jpeg)))


def strip_metadata(jpeg: bytes) -> bytes:
    """Return the JPEG without its APPn and comment segments (JFIF and Adobe's colour transform stay).

    Pixels untouched.
    """
    kept = bytearray(jpeg[:2])
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xDA:  # start of scan: compressed pixels from here on
            return bytes(kept + jpeg[at:])
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if not (0xE1 <= marker <= 0xEF and marker != 0xEE) and marker != 0xFE:
            kept += jpeg[at:end]
        at = end
    raise BadPhotographError("the JPEG has no picture in it")


def _open(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except UnidentifiedImageError:
        raise BadPhotographError(f"neither JPEG nor PNG ({len(data)} bytes)") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPhotographError(str(error)) from None
    if image.width * image.height > MOST_PIXELS:
        raise BadPhotographError(f"{image.width}x{image.height} pixels are too many; at most {MOST_PIXELS:,}")
    return image


def _decode(image: Image.Image) -> Image.Image:
    try:
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise BadPhotographError(f"the picture is cut off or damaged: {error}") from None


def _scaled(image: Image.Image, edge: int) -> Image.Image:
    factor = edge / max(image.size)
    if factor < 1:
        image.draft("RGB", (round(image.width * factor), round(image.height * factor)))
    small = ImageOps.exif_transpose(_decode(image))
    if max(small.size) > edge * CLOSE_ENOUGH:
        factor = edge / max(small.size)
        size = (max(1, round(small.width * factor)), max(1, round(small.height * factor)))
        small = small.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return small


def _encode(image: Image.Image, quality: int) -> bytes:
    target = io.BytesIO()
    # Built fresh from the pixels: Pillow would carry over a comment or a colour profile.
    image.info.clear()
    image.save(target, "JPEG", quality=quality)
    return target.getvalue()
