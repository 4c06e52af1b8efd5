"""Checks one image file without trusting it, and brings it to the JPEG that ``core.images.normalise`` defines."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import stat
from dataclasses import dataclass
from typing import Final

import numpy as np
import simplejpeg

# Pillow loads these decoders only on demand, and then all that it has.
from PIL import Image, Jpeg2KImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

from components.ingest import dicom, fingerprint, hdf5
from core.images import decode, normalise
from core.images.decode import ImageRefusedError

# No format that runs an interpreter (EPS) or holds documents is among them.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000")
_FILE_TYPE_BOX: Final = ("HEIF", "AVIF", "JPEG2000")
_MAX_ASPECT: Final = 20
_MOST_PIXELS: Final = 1 << 28  # of an image whose limits nobody configured
_MIN_CONTRAST: Final = 4  # of 255, on the reduced picture
_EOI: Final = b"\xff\xd9"
_EXTRANEOUS: Final = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


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
    """An image that can be used."""

    sha256: str  # of the file's bytes, hexadecimal
    grey: bytes  # luminance of [32, 32] uint8 as bytes, for the perceptual hash
    width: int  # pixels, as it will be written, like the height
    height: int
    converted: str  # why it was re-encoded, empty where the bytes pass unchanged
    jpeg: bytes | None  # the new bytes where it was re-encoded, else None


def read(path: str, max_bytes: int) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        ImageRefusedError: it is missing, not a file, empty or larger than ``max_bytes``.
    """
    if hdf5.is_address(path):
        data = hdf5.read(path)
        _check_length(len(data), max_bytes)
        return data
    try:
        # Non-blocking, because opening a named pipe would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ImageRefusedError("missing_file", "the file does not exist") from None
    except (OSError, ValueError) as error:
        raise ImageRefusedError("unreadable", str(getattr(error, "strerror", None) or error)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageRefusedError("unreadable", "it is not a regular file")
        _check_length(status.st_size, max_bytes)
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            return file.readall()
    except OSError as error:
        raise ImageRefusedError("unreadable", str(error.strerror)) from None
    finally:
        os.close(descriptor)


def _check_length(length: int, max_bytes: int) -> None:
    if length == 0:
        raise ImageRefusedError("empty", "0 bytes")
    if length > max_bytes:
        raise ImageRefusedError("too_large", f"{length} bytes; max_bytes is {max_bytes}")


def check(data: bytes, limits: Limits) -> Checked:
    """Check the bytes of one file.

    The whole picture is decoded, so that whatever passes can be decoded later. A JPEG is read to its end marker, by
    the library that TensorFlow uses, and refused at any damage that the library only warns of: TensorFlow stops at
    some of it, and fills the rest with grey.

    Raises:
        ImageRefusedError: the file cannot be used; its reason is a key of ``row.REASONS``.
    """
    try:
        return _check(data, limits)
    # Pillow's decoders raise almost anything on broken bytes.
    except Exception as error:
        raise decode.decoding_error(error) from None


def as_jpeg(data: bytes) -> bytes:
    """Return what ingest would write for an image, whatever its size.

    Raises:
        ImageRefusedError: the bytes are not an image that ingest reads.
    """
    try:
        image = _open(data, len(data) or 1, _MOST_PIXELS)
        why = _reason(image, data)
        if image.format in {"JPEG", "MPO"} and _decode_strictly(data, image) is None:
            why = why or "coding"
        return normalise.converted(image, why).data if why else data
    except Exception as error:
        raise decode.decoding_error(error) from None


def _check(data: bytes, limits: Limits) -> Checked:
    image = _open(data, limits.max_bytes, limits.max_pixels)
    width, height = image.size
    if min(width, height) < limits.min_side:
        raise ImageRefusedError("wrong_size", f"{width} x {height} pixels; min_side is {limits.min_side}")
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise ImageRefusedError(
            "wrong_size", f"{width} x {height} pixels: one side is over {_MAX_ASPECT} times the other"
        )
    # A multi-picture JPEG is a photograph with its preview behind it; decoders take the first.
    is_jpeg = image.format in {"JPEG", "MPO"}
    if not is_jpeg and getattr(image, "n_frames", 1) > 1:
        raise ImageRefusedError("animated", f"{getattr(image, 'n_frames', 0)} pictures in one {image.format}")
    why = _reason(image, data)
    if not why and limits.max_side and max(image.size) > limits.max_side:
        why = "max_side"
    sha256 = hashlib.sha256(data).hexdigest()
    small = _decode_strictly(data, image) if is_jpeg else None
    if not why and small is not None:
        return Checked(sha256, _grey(small), width, height, "", None)
    made = normalise.converted(image, why or "coding", limits.jpeg_quality, limits.max_side)
    if made.image is None:
        raise RuntimeError("a converted image has its pixels")
    return Checked(sha256, _grey(made.image), made.width, made.height, made.converted, made.data)


def _open(data: bytes, max_bytes: int, max_pixels: int) -> Image.Image:
    """Open an image of any format that ingest reads."""
    if data[128:132] == b"DICM":
        return dicom.open_image(data, max_bytes=max_bytes, max_pixels=max_pixels)
    if data[4:8] == b"ftyp":
        # Registered only now: few have such files, and loading the library costs time in every process.
        pillow_heif = importlib.import_module("pillow_heif")
        pillow_heif.register_heif_opener()
        return decode.open_image(
            data, max_bytes=max_bytes, max_pixels=max_pixels, formats=(*_FILE_TYPE_BOX, *FORMATS)
        )
    return decode.open_image(data, max_bytes=max_bytes, max_pixels=max_pixels, formats=FORMATS)


def _reason(image: Image.Image, data: bytes) -> str:
    return "format DICOM" if image.format == dicom.FORMAT else normalise.reason_to_convert(image, data)


def _decode_strictly(data: bytes, image: Image.Image) -> Image.Image | None:
    """Return the luminance at a fraction of the size, every coded coefficient read; None where only Pillow can.

    Raises:
        ImageRefusedError: the compressed data is damaged or cut off.
    """
    if image.mode not in {"L", "RGB"}:
        return None
    try:
        return _luminance(data)
    except ValueError as error:
        message = str(error)
    if "Premature end of JPEG file" in message:
        raise ImageRefusedError("truncated", "cannot be decoded: the file ends before the picture does")
    extraneous = _EXTRANEOUS.search(message)
    if extraneous:
        # Some cameras pad the data; what is left over and is not padding is a sign of damaged codes before it.
        end = data.rfind(_EOI)
        start = end - int(extraneous[1])
        if not data[start:end].strip(b"\x00\xff"):
            return _decode_strictly(data[:start] + data[end:], image)
    if "determine subsampling level" in message and data.rstrip(b"\x00").endswith(_EOI):
        return None
    if message.startswith("Warning: unknown JFIF") and data.rstrip(b"\x00").endswith(_EOI):
        return _luminance(data, strict=False)
    raise ImageRefusedError("corrupt", f"cannot be decoded: {message}")


def _luminance(data: bytes, *, strict: bool = True) -> Image.Image:
    side = 2 * fingerprint.SIDE
    pixels = simplejpeg.decode_jpeg(data, "GRAY", min_height=side, min_width=side, strict=strict)
    return Image.fromarray(np.asarray(pixels, np.uint8)[:, :, 0])


def _grey(image: Image.Image) -> bytes:
    grey = image if image.mode == "L" else image.convert("L")
    # Triangular weights, because the copies to be found have other sizes: a box would fall on other pixels.
    small = grey.resize((fingerprint.SIDE, fingerprint.SIDE), Image.Resampling.BILINEAR)
    darkest, brightest = small.getextrema()
    if brightest - darkest < _MIN_CONTRAST:  # type: ignore[operator] # of one band: two numbers
        raise ImageRefusedError("blank", f"every pixel is near {darkest}")
    return small.tobytes()
