"""USB cameras through Video4Linux: the camera's own JPEGs, never encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from edge.camera.camera import CameraLostError
from edge.camera.photograph import BadPhotographError, shrink


class V4L2Camera:
    """A UVC camera that delivers MJPEG; linuxpy is imported when the camera is opened.

    One stream at full size serves preview and capture: changing the size of most UVC cameras takes seconds.
    """

    def __init__(self, device: str, width: int, height: int, preview_edge: int) -> None:
        self._path = device
        self._edge = preview_edge
        self._device: Any = None
        try:
            video = import_module("linuxpy.video.device")
            self._device = video.Device(device)
            self._device.open()
            self._capture = video.VideoCapture(self._device, size=2)
            self._capture.set_format(width, height, "MJPG")
            self._capture.open()
            self._frames: Iterator[Any] = iter(self._capture)
        except Exception as error:  # linuxpy raises OSError, its own errors and bare asserts
            self.close()
            raise CameraLostError(
                f"camera {device} cannot be opened ({error}): check its cable, that it shows"
                f" in /dev, and that the "
                "user is in the group `video`"
            ) from None

    @property
    def name(self) -> str:
        """What the settings page shows."""
        return f"USB camera {self._path}"

    def preview(self) -> bytes:
        """The newest frame, scaled."""
        try:
            return shrink(self.capture(), self._edge)
        except BadPhotographError as error:
            raise CameraLostError(f"camera {self._path} delivers no JPEG: {error}") from None

    def capture(self) -> bytes:
        """The newest frame as the camera encoded it."""
        try:
            # Two buffers are queued: the first one may have waited since the last call.
            next(self._frames)
            return bytes(next(self._frames).data)
        except (OSError, StopIteration, AttributeError) as error:
            self.close()
            raise CameraLostError(
                f"camera {self._path} stopped answering ({error}): check its cable"
            ) from None

    def close(self) -> None:
        """Stops the stream and closes the device file."""
        device, self._device = self._device, None
        if device is not None:
            try:
                device.close()
            except Exception as error:  # a device that was pulled out cannot be closed in order
                del error
