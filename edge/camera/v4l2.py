"""USB cameras through Video4Linux: the camera's own JPEGs, never encoded again."""

from __future__ import annotations

import contextlib
import glob
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
        """Open the camera.

        Args:
            device: path of the device file, or a pattern such as `/dev/video*`: the first that opens.
            width: capture width in pixels.
            height: capture height in pixels.
            preview_edge: longest edge of a preview picture in pixels.

        Raises:
            CameraLostError: none can be opened.
        """
        self._path = device
        self._edge = preview_edge
        self._device: Any = None
        reasons = []
        # A camera that was unplugged while open comes back under the next number.
        for path in sorted(glob.glob(device)) or [device]:  # noqa: PTH207 (an absolute pattern)
            try:
                self._open(path, width, height)
            except Exception as error:  # linuxpy raises OSError, its own errors and bare asserts
                self.close()
                reasons.append(str(error) or type(error).__name__)
            else:
                self._path = path
                return
        raise CameraLostError(
            f"camera {device} cannot be opened ({'; '.join(reasons)}): check its cable, that it shows in /dev, "
            "and that the user is in the group `video`"
        )

    @property
    def name(self) -> str:
        """What the settings page shows."""
        return f"USB camera {self._path}"

    def preview(self) -> bytes:
        """Return the newest frame, scaled."""
        try:
            return shrink(self.capture(), self._edge)
        except BadPhotographError as error:
            raise CameraLostError(f"camera {self._path} delivers no JPEG: {error}") from None

    def capture(self) -> bytes:
        """Return the newest frame as the camera encoded it."""
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
        """Stop the stream and close the device file."""
        device, self._device = self._device, None
        if device is not None:
            with contextlib.suppress(Exception):  # a device that was pulled out cannot be closed in order
                device.close()

    def _open(self, path: str, width: int, height: int) -> None:
        video = import_module("linuxpy.video.device")
        self._device = video.Device(path)
        self._device.open()
        self._capture = video.VideoCapture(self._device, size=2)
        self._capture.set_format(width, height, "MJPG")
        self._capture.open()
        self._frames: Iterator[Any] = iter(self._capture)
