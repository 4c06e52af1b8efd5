"""A capture made ready: decoded once, scaled, encoded once, and free of hidden metadata."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.images import decode
from core.images.decode import ImageRefusedError
from core.images.header import START_OF_SCAN, jpeg_segments
from edge.config import PhotographSection

Pixels = npt.NDArray[np.uint8]

MOST_PIXELS = 64_000_000  # a 64-megapixel sensor; more is a decompression bomb
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


def prepare(capture: bytes, section: PhotographSection) -> Photograph:
    """Make a capture ready to be kept and sent.

    A JPEG that is small enough already keeps its own compressed pixels, bit for bit, and only loses its
    metadata (EXIF may hold a place, a time or a name). Raises BadPhotographError.
    """
    image = _open(capture)
    turned = decode.is_turned(image)
    if (
        image.format == "JPEG"
        and image.mode == "RGB"
        and not turned
        and max(image.size) <= section.longest_edge
    ):
        jpeg = strip_metadata(capture)
        pixels = np.asarray(_decode(image))
    else:
        small = _scaled(image, section.longest_edge)
        jpeg = decode.encode_jpeg(small, section.jpeg_quality)
        pixels = np.asarray(small)
    height, width = pixels.shape[:2]
    return Photograph(jpeg, hashlib.sha256(jpeg).hexdigest(), width, height, pixels)


def shrink(capture: bytes, edge: int) -> bytes:
    """Return a small JPEG for the screen; raises BadPhotographError."""
    return decode.encode_jpeg(_scaled(_open(capture), edge), 80)


def pixels_of(jpeg: bytes) -> Pixels:
    """Return the [height, width, 3] RGB pixels of an image file; raises BadPhotographError."""
    return np.asarray(_decode(_open(jpeg)))


def strip_metadata(jpeg: bytes) -> bytes:
    """Return the JPEG without its APPn and comment segments (JFIF and Adobe's colour transform stay).

    Pixels untouched.
    """
    kept = bytearray(jpeg[:2])
    for marker, start, end in jpeg_segments(jpeg):
        if marker == START_OF_SCAN:  # compressed pixels from here on
            return bytes(kept + jpeg[start:])
        if not (0xE1 <= marker <= 0xEF and marker != 0xEE) and marker != 0xFE:
            kept += jpeg[start:end]
    raise BadPhotographError("the JPEG has no picture in it")


def _open(data: bytes) -> Image.Image:
    try:
        return decode.open_image(data, max_bytes=len(data) or 1, max_pixels=MOST_PIXELS)
    except ImageRefusedError as error:
        raise BadPhotographError(f"the picture {error}") from None


def _decode(image: Image.Image) -> Image.Image:
    try:
        return decode.rgb(image)
    except ImageRefusedError as error:
        raise BadPhotographError(f"the picture is cut off or damaged: it {error}") from None


def _scaled(image: Image.Image, edge: int) -> Image.Image:
    factor = edge / max(image.size)
    if factor < 1:
        image.draft("RGB", (round(image.width * factor), round(image.height * factor)))
    small = decode.upright(image, _decode(image))
    if max(small.size) > edge * CLOSE_ENOUGH:
        factor = edge / max(small.size)
        size = (max(1, round(small.width * factor)), max(1, round(small.height * factor)))
        small = small.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return small
