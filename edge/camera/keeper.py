"""Keeps a camera open: reopens one that was unplugged and shares one preview among viewers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge.camera.camera import Camera, CameraLostError
from edge.camera.folder import FolderCamera
from edge.camera.picamera import PiCamera
from edge.camera.v4l2 import V4L2Camera
from edge.sections import CameraSection

REOPEN_S = 1.0


def open_camera(config: CameraSection) -> Camera:
    """The camera that `camera.source` names; CameraLostError when it is not there."""
    kind, _, place = config.source.partition(":")
    if kind == "folder":
        return FolderCamera(Path(place).expanduser(), config.preview_edge)
    if kind == "v4l2":
        return V4L2Camera(place, config.width, config.height, config.preview_edge)
    return PiCamera(config.width, config.height, config.preview_edge)


class CameraKeeper:
    """One camera for many threads. After CameraLostError the next call, a second later, opens it again."""

    def __init__(
        self, opener: Callable[[], Camera], fps: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._opener = opener
        self._period = 1.0 / fps
        self._clock = clock
        self._lock = threading.Lock()
        self._camera: Camera | None = None
        self._retry_at = 0.0
        self._frame: tuple[float, bytes] | None = None
        self.trouble: str | None = None

    @property
    def name(self) -> str:
        """The open camera's name; a dash while there is none."""
        camera = self._camera
        return camera.name if camera else "–"

    def preview(self) -> bytes:
        """The current preview JPEG, at most one frame period old."""
        with self._lock:
            now = self._clock()
            if self._frame is None or now - self._frame[0] >= self._period:
                self._frame = (now, self._use(lambda camera: camera.preview()))
            return self._frame[1]

    def capture(self) -> bytes:
        """One JPEG at full size."""
        with self._lock:
            return self._use(lambda camera: camera.capture())

    def close(self) -> None:
        """Closes the camera; a later call opens it again."""
        with self._lock:
            self._drop()

    def _use(self, act: Callable[[Camera], bytes]) -> bytes:
        try:
            if self._camera is None:
                if self.trouble and self._clock() < self._retry_at:
                    raise CameraLostError(self.trouble)
                self._camera = self._opener()
            result = act(self._camera)
        except CameraLostError as error:
            if self.trouble is None or self._clock() >= self._retry_at:
                self._retry_at = self._clock() + REOPEN_S
            self.trouble = str(error)
            self._drop()
            raise
        self.trouble = None
        return result

    def _drop(self) -> None:
        camera, self._camera = self._camera, None
        self._frame = None
        if camera is not None:
            camera.close()
