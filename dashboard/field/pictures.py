"""Small pictures of answered images, where the model server was told to keep them."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from pathlib import Path

from core.files import write_atomic
from core.images.decode import ImageRefusedError, thumbnail

log = logging.getLogger(__name__)

SIDE = 448
DAY_S = 86_400


class Pictures:
    """A folder of thumbnails, named by the digest of the image."""

    def __init__(self, folder: Path, days: int) -> None:
        """Make it.

        Args:
            folder: where they lie; made with the first picture.
            days: how long they are kept, as long as their answers.
        """
        self._folder = folder
        self._days = days

    def place(self, sha256: str) -> Path:
        """Return the file of an image, whether or not there is one; `sha256` is 64 hexadecimal digits."""
        return self._folder / sha256[:2] / f"{sha256}.jpg"

    def keep(self, sha256: str, encoded: str) -> None:
        """Keep a picture of a base64-encoded image; one that cannot be decoded is left out."""
        path = self.place(sha256)
        if path.exists():
            return
        try:
            write_atomic(path, thumbnail(base64.b64decode(encoded, validate=True), SIDE))
        except (ImageRefusedError, binascii.Error, OSError) as error:
            log.info("no picture of %s: %s", sha256[:12], error)

    def delete_old(self) -> None:
        """Delete what is older than the answers that are kept."""
        edge = time.time() - self._days * DAY_S
        for path in self._folder.glob("??/*.jpg"):
            if path.stat().st_mtime < edge:
                path.unlink(missing_ok=True)
