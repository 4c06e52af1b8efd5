"""Opens images without trusting them: the formats, the bounds and the colour conversion of every room."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

# What a device, the gateway and the server take; ingest reads more.
SENT_FORMATS: Final = ("JPEG", "PNG")
MAX_BYTES: Final = 32 << 20
MAX_PIXELS: Final = (
    50_000_000  # decoded 3 bytes each, as floats 12; more in a header is a bomb, or a wrong file
)
_ORIENTATION: Final = 0x0112
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
_DEEP: Final = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_TRANSPARENT: Final = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})


class ImageRefusedError(ValueError):
    """The bytes are not an image that is taken.

    The message is a predicate, as in "has 70 bytes, more than 64"; ``reason`` is one word: empty, too_large,
    not_an_image, too_many_pixels, truncated, corrupt or unsupported.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def open_image(
    data: bytes,
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] = SENT_FORMATS,
) -> Image.Image:
    """Open an encoded image and check what its header says; no pixel is decoded.

    Only the decoders of these formats (Pillow's names) are tried, whatever the bytes pretend to be.

    Raises:
        ImageRefusedError: it is not such an image.
    """
    if not data:
        raise ImageRefusedError("empty", "is empty")
    if len(data) > max_bytes:
        raise ImageRefusedError("too_large", f"has {len(data)} bytes, more than {max_bytes}")
    try:
        image = Image.open(io.BytesIO(data), formats=tuple(formats))
    except UnidentifiedImageError:
        kinds = " nor ".join(formats) if len(formats) == 2 else ", ".join(formats)
        not_one = f"is neither {kinds}" if len(formats) == 2 else f"is none of {kinds}"
        raise ImageRefusedError("not_an_image", f"{not_one} (begins with {data[:8].hex(' ')})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefusedError("too_many_pixels", f"has more than {max_pixels} pixels") from None
    # Pillow's parsers raise almost anything on broken bytes.
    except Exception as error:
        raise decoding_error(error) from None
    width, height = image.size
    if width * height > max_pixels:
        detail = f"has {width} x {height} pixels, more than {max_pixels} in all"
        raise ImageRefusedError("too_many_pixels", detail)
    return image


def load(image: Image.Image) -> Image.Image:
    """Decode the pixels of an opened image and return it. Raises ImageRefusedError."""
    try:
        image.load()
    except Exception as error:
        raise decoding_error(error) from None
    return image


def decoding_error(error: Exception) -> ImageRefusedError:
    """Return the refusal that a decoder's exception stands for."""
    if isinstance(error, ImageRefusedError):
        return error
    if isinstance(error, MemoryError):
        return ImageRefusedError("too_large", "needs more memory to decode than there is")
    text = " ".join(str(error).split())[:120] or type(error).__name__
    cut = "truncated" in text.lower() or isinstance(error, EOFError)
    return ImageRefusedError("truncated" if cut else "corrupt", f"cannot be decoded: {text}")


def is_turned(image: Image.Image) -> bool:
    """Whether its EXIF orientation says that the stored pixels are not upright."""
    return _orientation(image) in _TURN


def upright(image: Image.Image, picture: Image.Image) -> Image.Image:
    """Return ``picture``, the decoded pixels of ``image``, as the EXIF orientation of ``image`` says it is seen."""
    turn = _TURN.get(_orientation(image))
    return picture if turn is None else picture.transpose(turn)


def rgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit RGB; transparency lies on white, 16 bits lose their lower 8.

    Raises:
        ImageRefusedError: the pixel format has no agreed conversion, or the decoder fails.
    """
    load(image)
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode in _DEEP:
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ImageRefusedError(
                "unsupported", f"has {mode} pixels beyond 16 bits ({deep.min()} to {deep.max()})"
            )
        return Image.fromarray((deep >> 8).astype(np.uint8)).convert("RGB")
    if mode == "F":
        raise ImageRefusedError("unsupported", "has floating-point pixels")
    if mode in _TRANSPARENT or "transparency" in image.info:
        layer = image.convert("RGBA")
        flat = Image.new("RGB", layer.size, "white")
        flat.paste(layer, mask=layer.getchannel("A"))
        return flat
    try:
        return image.convert("RGB")
    except ValueError:
        raise ImageRefusedError("unsupported", f"has the pixel format {mode}") from None


def thumbnail(data: bytes, side: int, *, quality: int = 82) -> bytes:
    """Return an upright JPEG without metadata, at most ``side`` pixels high and wide.

    Raises:
        ImageRefusedError: the bytes are not a JPEG or PNG that can be decoded.
    """
    image = open_image(data, max_bytes=len(data) or 1)
    # The JPEG decoder itself reduces, which costs a fraction of a whole decode.
    image.draft("RGB", (2 * side, 2 * side))
    small = upright(image, rgb(image))
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return encode_jpeg(small, quality)


def encode_jpeg(image: Image.Image, quality: int, subsampling: int = 2) -> bytes:
    """Return a JPEG of an 8-bit RGB picture without metadata; a subsampling of 0 is 4:4:4, 2 is 4:2:0."""
    target = io.BytesIO()
    bare = image.copy()
    # Pillow would carry over a comment, a colour profile or EXIF.
    bare.info.clear()
    bare.save(target, "JPEG", quality=quality, subsampling=subsampling)
    return target.getvalue()


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    # A damaged EXIF block says nothing.
    except Exception:
        return 1
