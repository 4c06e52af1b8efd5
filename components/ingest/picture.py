"""Checks one image file without trusting it, and makes it a JPEG that the serving graph reads the same way.

What passes unchanged: baseline and progressive Huffman-coded JPEG, grey or RGB, upright. What is re-encoded
(``Checked.converted`` says why): other formats, CMYK, arithmetic or lossless JPEG (TensorFlow has no decoder for
them), an EXIF orientation (``tf.io.decode_jpeg`` ignores it, so the camera's rotation would be lost), and sides
longer than ``max_side``.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from components.ingest import fingerprint

# No format that runs an interpreter (EPS) or holds documents is among them. The plugins are named because Pillow
# loads those beyond the first few only on demand, and then all of them.
FORMATS: Final = tuple(
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        TiffImagePlugin.TiffImageFile,
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
    )
)
_ORIENTATION: Final = 0x0112
_MAX_ASPECT: Final = 20
_MIN_CONTRAST: Final = 4  # of 255, on the reduced picture
# What undoes each EXIF orientation.
_TURN: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused or resized; the meaning is ``IngestConfig``'s."""

    max_bytes: int
    max_pixels: int
    min_side: int
    max_side: int | None
    jpeg_quality: int


@dataclass(frozen=True, slots=True)
class Checked:
    """An image that can be used.

    Attributes:
        sha256: of the file's bytes, hexadecimal.
        grey: luminance of [32, 32] uint8 as bytes, for the perceptual hash.
        width: pixels, as it will be written.
        height: pixels.
        converted: why it was re-encoded, empty where the bytes pass unchanged.
        jpeg: the new bytes where it was re-encoded, else None.
    """

    sha256: str
    grey: bytes
    width: int
    height: int
    converted: str
    jpeg: bytes | None


class RefusedError(Exception):
    """The file is not used; ``reason`` is a key of ``row.REASONS``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read(path: str, max_bytes: int) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        RefusedError: it is missing, no file, empty or larger than ``max_bytes``.
    """
    try:
        # Non-blocking, because opening a named pipe would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise RefusedError("missing_file", "the file does not exist") from None
    except (OSError, ValueError) as error:
        raise RefusedError("unreadable", str(getattr(error, "strerror", None) or error)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("unreadable", "it is no regular file")
        if status.st_size == 0:
            raise RefusedError("empty", "0 bytes")
        if status.st_size > max_bytes:
            raise RefusedError("too_large", f"{status.st_size} bytes; max_bytes is {max_bytes}")
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            return file.readall()
    except OSError as error:
        raise RefusedError("unreadable", str(error.strerror)) from None
    finally:
        os.close(descriptor)


def check(data: bytes, limits: Limits) -> Checked:
    """Check the bytes of one file.

    The whole picture is decoded, so that whatever passes can be decoded later; a JPEG that passes unchanged is
    decoded to luminance at a fraction of its size, which reads every coded coefficient at half the cost.

    Raises:
        RefusedError: the file cannot be used.
    """
    try:
        return _check(data, limits)
    except RefusedError:
        raise
    except UnidentifiedImageError:
        raise RefusedError("not_an_image", f"the file starts with {data[:12]!r}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedError("too_many_pixels", f"max_pixels is {limits.max_pixels}") from None
    except MemoryError:
        raise RefusedError("too_large", "there is not enough memory to decode it") from None
    # Pillow's decoders raise almost anything on broken bytes.
    except Exception as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        cut = "truncated" in text.lower() or isinstance(error, EOFError)
        raise RefusedError("truncated" if cut else "corrupt", text) from None


def _check(data: bytes, limits: Limits) -> Checked:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > limits.max_pixels:
        raise RefusedError("too_many_pixels", f"{width} x {height} pixels; max_pixels is {limits.max_pixels}")
    if min(width, height) < limits.min_side:
        raise RefusedError("wrong_size", f"{width} x {height} pixels; min_side is {limits.min_side}")
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise RefusedError(
            "wrong_size", f"{width} x {height} pixels: one side is over {_MAX_ASPECT} times the other"
        )
    # A multi-picture JPEG is a photograph with its preview behind it; decoders take the first.
    if image.format not in {"JPEG", "MPO"} and getattr(image, "n_frames", 1) > 1:
        raise RefusedError("animated", f"{getattr(image, 'n_frames', 0)} pictures in one {image.format}")
    why = _why_convert(image, data, limits)
    if not why:
        image.draft("L", (2 * fingerprint.SIDE, 2 * fingerprint.SIDE))
        image.load()
        return Checked(_sha256(data), _grey(image), width, height, "", None)
    if limits.max_side and image.mode in {"L", "RGB"}:
        image.draft(image.mode, (2 * limits.max_side, 2 * limits.max_side))
    image.load()
    turn = _TURN.get(image.getexif().get(_ORIENTATION, 1))
    upright = _rgb(image)
    if turn is not None:
        upright = upright.transpose(turn)
    if limits.max_side and max(upright.size) > limits.max_side:
        upright.thumbnail((limits.max_side, limits.max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    encoded = io.BytesIO()
    upright.save(encoded, "JPEG", quality=limits.jpeg_quality, subsampling=0)
    jpeg = encoded.getvalue()
    return Checked(_sha256(data), _grey(upright), *upright.size, why, jpeg)


def _why_convert(image: Image.Image, data: bytes, limits: Limits) -> str:
    if image.format not in {"JPEG", "MPO"}:
        return f"format {image.format}"
    if image.mode not in {"L", "RGB"}:
        return f"mode {image.mode}"
    if limits.max_side and max(image.size) > limits.max_side:
        return "max_side"
    if "exif" in image.info and image.getexif().get(_ORIENTATION, 1) in _TURN:
        return "orientation"
    if _frame_type(data) not in {0xC0, 0xC1, 0xC2}:
        return "coding"
    return ""


def _frame_type(data: bytes) -> int:
    """Marker of a JPEG's frame header: 0xC0 to 0xC2 are Huffman-coded, 0 where there is none."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            return marker
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def _rgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit RGB; transparency lies on white, 16 bits lose their lower 8."""
    mode = image.mode
    if mode in {"I", "I;16", "I;16L", "I;16B", "I;16N"}:
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise RefusedError("unsupported", f"{mode} pixels beyond 16 bits ({deep.min()} to {deep.max()})")
        flat = Image.fromarray((deep >> 8).astype(np.uint8)).convert("RGB")
    elif mode == "F":
        raise RefusedError("unsupported", "floating-point pixels")
    elif mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        flat = Image.new("RGB", layer.size, "white")
        flat.paste(layer, mask=layer.getchannel("A"))
    else:
        try:
            flat = image.convert("RGB")
        except ValueError:
            raise RefusedError("unsupported", f"pixel format {mode}") from None
    return flat


def _grey(image: Image.Image) -> bytes:
    grey = image if image.mode == "L" else image.convert("L")
    # Triangular weights, because the copies to be found have other sizes: a box would fall on other pixels.
    small = grey.resize((fingerprint.SIDE, fingerprint.SIDE), Image.Resampling.BILINEAR)
    darkest, brightest = small.getextrema()
    if brightest - darkest < _MIN_CONTRAST:  # type: ignore[operator] # of one band: two numbers
        raise RefusedError("blank", f"every pixel is near {darkest}")
    return small.tobytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
