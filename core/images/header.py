"""Format, size and coding of a JPEG or PNG from its first bytes, without decoding a pixel."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

JPEG_MAGIC: Final = b"\xff\xd8\xff"
PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers: all of C0..CF but DHT (C4), JPG (C8) and DAC (CC).
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
START_OF_SCAN: Final = 0xDA
_EOI: Final = 0xD9
_STANDALONE: Final = frozenset(range(0xD0, 0xD8)) | {0x01}
_MAX_SEGMENTS: Final = 10_000


class HeaderError(ValueError):
    """The bytes are not a JPEG or PNG with a whole header; the message is a predicate, as in "is empty"."""


@dataclass(frozen=True)
class ImageHeader:
    """What a header says; width and height in pixels."""

    format: str  # jpeg or png
    width: int
    height: int
    # Components of a JPEG (1 grey, 3 colour, 4 CMYK); colour type of a PNG (0, 2, 3, 4 or 6).
    channels: int = 3
    bits: int = 8  # a channel
    coding: int = 0  # a JPEG's start-of-frame marker, C0 to CF (C0 to C2 are Huffman-coded); 0 for a PNG

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def read_header(data: bytes) -> ImageHeader:
    """Read the header. Raises HeaderError: for anything but a JPEG or PNG with a whole header and a size."""
    if not data:
        raise HeaderError("is empty")
    if data.startswith(PNG_MAGIC):
        header = _png(data)
    elif data.startswith(JPEG_MAGIC):
        header = _jpeg(data)
    else:
        raise HeaderError(f"is neither JPEG nor PNG (begins with {data[:8].hex(' ')})")
    if not header.width or not header.height:
        raise HeaderError(f"has no pixels ({header.width} x {header.height})")
    return header


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment before a JPEG's compressed pixels.

    The last one is the first start of scan (marker DA), whose end is the end of its header; damage ends the list.
    """
    at = 2
    for _ in range(_MAX_SEGMENTS):
        # Any number of fill bytes may stand before a marker.
        while at + 1 < len(data) and data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker in _STANDALONE:
            at += 2
            continue
        if marker == _EOI:
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at, end
        if marker == START_OF_SCAN:
            return
        at = end


def _png(data: bytes) -> ImageHeader:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise HeaderError("is a PNG with a broken header")
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    return ImageHeader("png", width, height, colour, bits)


def _jpeg(data: bytes) -> ImageHeader:
    for marker, at, _ in jpeg_segments(data):
        if marker in _SOF:
            if at + 10 > len(data):
                break
            bits, height, width, channels = struct.unpack(">BHHB", data[at + 4 : at + 10])
            return ImageHeader("jpeg", width, height, channels, bits, marker)
    raise HeaderError("is a JPEG without a frame header")
