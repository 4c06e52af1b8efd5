"""The device's cameras: the Pi's own module, USB cameras through Video4Linux, and a folder of images as a simulator."""

from __future__ import annotations

import contextlib
import glob
import io
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from edge.camera.photograph import BadPhotographError, shrink
from edge.config import CameraSection

SUFFIXES = (".jpg", ".jpeg", ".png")


class CameraLostError(Exception):
    """The camera is not there or stopped answering; the text names it and the way back."""


class CameraHungError(CameraLostError):
    """The camera took a request and gave neither a picture nor an error within its deadline."""


class PiCamera:
    """A CSI camera; picamera2 comes from the distribution and is imported when the camera is opened.

    The preview is the sensor's small second stream, so that the shutter needs no change of mode until it is
    pressed: full size is one `switch_mode_and_capture_file` away.
    """

    name = "Raspberry Pi camera"

    def __init__(self, width: int, height: int, preview_edge: int) -> None:
        self._camera: Any = None
        try:
            module = import_module("picamera2")
            self._camera = module.Picamera2()
            small = (preview_edge, round(preview_edge * height / width / 2) * 2)
            live = self._camera.create_preview_configuration(main={"size": small, "format": "RGB888"})
            self._still = self._camera.create_still_configuration(main={"size": (width, height)})
            self._camera.configure(live)
            self._camera.start()
        except ImportError:
            raise CameraLostError(
                "picamera2 is not installed: apt-get install python3-picamera2 (Raspberry Pi OS), or choose "
                "another camera: --camera v4l2:/dev/video0 or folder:DIR"
            ) from None
        except Exception as error:  # libcamera raises RuntimeError, IndexError (no camera) and others
            self.close()
            raise CameraLostError(
                f"the camera module was not found ({error}): check the ribbon cable with the power off"
            ) from None

    def preview(self) -> bytes:
        """Return one JPEG of the small stream."""
        return self._jpeg("capture_file")

    def capture(self) -> bytes:
        """Return one JPEG at the sensor's full size."""
        return self._jpeg("switch_mode_and_capture_file", self._still)

    def close(self) -> None:
        """Stop the sensor."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _jpeg(self, method: str, *mode: Any) -> bytes:
        if self._camera is None:
            raise CameraLostError("the camera module is closed")
        target = io.BytesIO()
        try:
            getattr(self._camera, method)(*mode, target, format="jpeg")
        except Exception as error:  # as above
            self.close()
            raise CameraLostError(
                f"the camera module stopped answering ({error}): check the ribbon cable"
            ) from None
        return target.getvalue()


class V4L2Camera:
    """A UVC camera that delivers MJPEG; linuxpy is imported when the camera is opened.

    One stream at full size serves preview and capture: changing the size of most UVC cameras takes seconds. The
    JPEGs are the camera's own, never encoded again. `device` may be a pattern such as `/dev/video*`: the first that
    opens is taken. Sizes are in pixels.
    """

    def __init__(self, device: str, width: int, height: int, preview_edge: int) -> None:
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
                self._path, self.name = path, f"USB camera {path}"
                return
        raise CameraLostError(
            f"camera {device} cannot be opened ({'; '.join(reasons)}): check its cable, that it shows in /dev, "
            "and that the user is in the group `video`"
        )

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


class FolderCamera:
    """Shows the folder's images in the order of their names; each capture moves on to the next."""

    def __init__(self, folder: Path, preview_edge: int) -> None:
        self.name = f"folder {folder}"
        self._folder = folder
        self._edge = preview_edge
        self._next = 0
        self._current()

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
                f"{self.name} does not exist: create it, or give another --camera folder:DIR"
            ) from None
        if not images:
            raise CameraLostError(f"{self.name} holds no image ({', '.join(SUFFIXES)}): put one there")
        return images[self._next % len(images)]


# What each of them raises is CameraLostError, when the hardware is gone.
Camera = PiCamera | V4L2Camera | FolderCamera


def open_camera(config: CameraSection) -> Camera:
    """Return the camera that `camera.source` names; CameraLostError when it is not there."""
    kind, _, place = config.source.partition(":")
    if kind == "folder":
        return FolderCamera(Path(place).expanduser(), config.preview_edge)
    if kind == "v4l2":
        return V4L2Camera(place, config.width, config.height, config.preview_edge)
    return PiCamera(config.width, config.height, config.preview_edge)


@lru_cache(maxsize=4)
def _small(path: Path, _changed: int, edge: int) -> bytes:
    return shrink(path.read_bytes(), edge)
