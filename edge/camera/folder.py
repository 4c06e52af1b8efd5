"""A folder of images as a camera: the simulator for laptops and tests."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from edge.camera.camera import CameraLostError
from edge.camera.photograph import BadPhotographError, shrink

SUFFIXES = (".jpg", ".jpeg", ".png")


class FolderCamera:
    """Shows the folder's images in the order of their names; each capture moves on to the next."""

    def __init__(self, folder: Path, preview_edge: int) -> None:
        self._folder = folder
        self._edge = preview_edge
        self._next = 0
        self._current()

    @property
    def name(self) -> str:
        """What the settings page shows."""
        return f"folder {self._folder}"

    def preview(self) -> bytes:
        """Return the image that the next capture will take, scaled to the preview's size."""
        path = self._current()
        try:
            return _small(path, path.stat().st_mtime_ns, self._edge)
        except (OSError, BadPhotographError) as error:
            raise CameraLostError(f"{path} cannot be shown: {error}") from None

    def capture(self) -> bytes:
        """Return the image's own bytes, untouched."""
        path = self._current()
        self._next += 1
        try:
            return path.read_bytes()
        except OSError as error:
            raise CameraLostError(f"{path} cannot be read: {error}") from None

    def close(self) -> None:
        """Nothing to give back."""

    def _current(self) -> Path:
        try:
            images = sorted(path for path in self._folder.iterdir() if path.suffix.lower() in SUFFIXES)
        except OSError:
            raise CameraLostError(
                f"folder {self._folder} does not exist: create it, or give another --camera folder:DIR"
            ) from None
        if not images:
            raise CameraLostError(
                f"folder {self._folder} holds no image ({', '.join(SUFFIXES)}): put one there"
            )
        return images[self._next % len(images)]


@lru_cache(maxsize=4)
def _small(path: Path, _changed: int, edge: int) -> bytes:
    return shrink(path.read_bytes(), edge)
