"""The one decode rule: a JPEG that is upright, Huffman-coded, grey or RGB passes; anything else becomes such a JPEG.

TensorFlow's decoders ignore EXIF orientation, drop transparency instead of laying it on white, and cannot read CMYK,
arithmetic-coded or lossless JPEG. So ingest writes, and everything that asks a model sends, what ``normalise`` returns.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from core.images import decode
from core.images.decode import MAX_BYTES, MAX_PIXELS, ImageRefusedError
from core.images.header import JPEG_MAGIC, HeaderError, ImageHeader, jpeg_segments, read_header

JPEG_QUALITY: Final = 95  # where an image must be re-encoded; colour is not subsampled
_HUFFMAN: Final = frozenset({0xC0, 0xC1, 0xC2})
_APP1: Final = 0xE1


@dataclass(frozen=True)
class Normalised:
    """An encoded image as the graph reads it; width and height in pixels."""

    data: bytes
    converted: str  # why they are not the bytes that came in; empty where they passed unchanged
    width: int
    height: int
    image: Image.Image | None = None  # the decoded picture, where it was re-encoded


def normalise(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Normalised:
    """Return the bytes that a model is trained on and asked with.

    What passes unchanged costs a look at the header; it is not decoded, so it may still be damaged further on.
    Bounds are those of ``decode.open_image``.

    Raises:
        ImageRefusedError: the bytes are not an image that is taken, or cannot be converted.
    """
    header = _passing(data) if len(data) <= max_bytes else None
    if header is not None and header.pixels <= max_pixels:
        return Normalised(data, "", header.width, header.height)
    image = decode.open_image(data, max_bytes=max_bytes, max_pixels=max_pixels)
    why = reason_to_convert(image, data)
    return converted(image, why) if why else Normalised(data, "", *image.size)


def converted(
    image: Image.Image, why: str, quality: int = JPEG_QUALITY, max_side: int | None = None
) -> Normalised:
    """Decode an opened image and make the JPEG of it, the longer side at most ``max_side`` pixels.

    Raises:
        ImageRefusedError: the decoder fails, or the pixel format has no agreed conversion.
    """
    if max_side and image.mode in {"L", "RGB"}:
        image.draft(image.mode, (2 * max_side, 2 * max_side))
    picture = decode.upright(image, decode.rgb(image))
    if max_side and max(picture.size) > max_side:
        picture = picture.copy()
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Normalised(decode.encode_jpeg(picture, quality, subsampling=0), why, *picture.size, picture)


def _passing(data: bytes) -> ImageHeader | None:
    """Return the header if it alone shows a JPEG that needs no conversion."""
    if not data.startswith(JPEG_MAGIC):
        return None
    try:
        header = read_header(data)
    except HeaderError:
        return None
    if header.channels not in {1, 3} or header.bits != 8 or header.coding not in _HUFFMAN:
        return None
    exif = [data[at + 4 : end] for marker, at, end in jpeg_segments(data) if marker == _APP1]
    if not any(part.startswith(b"Exif\x00") for part in exif):
        return header
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return None if decode.is_turned(image) else header
    except Exception:
        return None


def reason_to_convert(image: Image.Image, data: bytes) -> str:
    """Return why the graph would read another picture than a person sees, empty where it would not."""
    if image.format not in {"JPEG", "MPO"}:
        return f"format {image.format}"
    if image.mode not in {"L", "RGB"}:
        return f"mode {image.mode}"
    if decode.is_turned(image):
        return "orientation"
    try:
        coded = read_header(data).coding
    except HeaderError as error:
        raise ImageRefusedError("corrupt", str(error)) from None
    return "" if coded in _HUFFMAN else "coding"
