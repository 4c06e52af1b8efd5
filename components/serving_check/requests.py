"""The requests a model is tried with: real images, and what a server will be sent by mistake or on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

from core import tfrecord
from core.features import IMAGE

# Each must be refused with INVALID_ARGUMENT, and must leave the model answering.
BAD: Final = {
    "empty": b"",
    "text": b"this is no image, whatever its name says",
    "jpeg_header_only": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    "png_header_only": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x75\x30\x00\x00\x75\x30\x08\x06\x00\x00\x00",
}


def golden(files: Sequence[Path], count: int) -> list[bytes]:
    """Return the first ``count`` images of TFRecord ``files``.

    Raises:
        ValueError: the files hold no image.
    """
    records = chain.from_iterable(tfrecord.examples(file) for file in files)
    images = [bytes(tfrecord.first(record, IMAGE)) for record in islice(records, count)]
    if not images:
        raise ValueError(f"no image in {', '.join(str(file) for file in files) or 'an empty split'}")
    return images
