"""Format and size of a JPEG or PNG from its first bytes, without decoding a pixel."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_PNG = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers: all of C0..CF but DHT (C4), JPG (C8) and DAC (CC).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset(range(0xD0, 0xD8)) | {0x01}
_MAX_SEGMENTS = 10_000


class HeaderError(ValueError):
    """Why bytes are no image this server takes."""


@dataclass(frozen=True)
class ImageHeader:
    """What a header says."""

    format: str  # jpeg or png
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def read_header(data: bytes) -> ImageHeader:
    """Read the header.

    Raises:
        HeaderError: for anything but a JPEG or PNG with a whole header and a size.
    """
    if not data:
        raise HeaderError("is empty")
    if data.startswith(_PNG):
        header = _png(data)
    elif data.startswith(b"\xff\xd8\xff"):
        header = _jpeg(data)
    else:
        raise HeaderError(f"is neither JPEG nor PNG (begins with {data[:8].hex(' ')})")
    if not header.width or not header.height:
        raise HeaderError(f"has no pixels ({header.width} x {header.height})")
    return header


def _png(data: bytes) -> ImageHeader:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise HeaderError("is a PNG with a broken header")
    width, height = struct.unpack(">II", data[16:24])
    return ImageHeader("png", width, height)


def _jpeg(data: bytes) -> ImageHeader:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        # Any number of fill bytes may stand before a marker.
        while at < len(data) and data[at] == 0xFF and at + 1 < len(data) and data[at + 1] == 0xFF:
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker in _STANDALONE:
            at += 2
            continue
        if marker in _SOF:
            if at + 9 > len(data):
                break
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return ImageHeader("jpeg", width, height)
        if marker in (0xD9, 0xDA):
            break
        at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    raise HeaderError("is a JPEG without a frame header")
