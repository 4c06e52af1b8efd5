"""The Pi's own camera module through picamera2."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from edge.camera.camera import CameraLostError


class PiCamera:
    """A CSI camera; picamera2 comes from the distribution and is imported when the camera is opened.

    The preview is the sensor's small second stream, so that the shutter needs no change of mode until it is
    pressed: full size is one `switch_mode_and_capture_file` away.
    """

    def __init__(self, width: int, height: int, preview_edge: int) -> None:
        self._camera: Any = None
        try:
            module = import_module("picamera2")
            self._camera = module.Picamera2()
            small = (preview_edge, round(preview_edge * height / width / 2) * 2)
            self._live = self._camera.create_preview_configuration(main={"size": small, "format": "RGB888"})
            self._still = self._camera.create_still_configuration(main={"size": (width, height)})
            self._camera.configure(self._live)
            self._camera.start()
        except ImportError:
            raise CameraLostError(
                "picamera2 is not installed: apt-get install python3-picamera2 (Raspberry "
                "Pi OS), or choose another "
                "camera: --camera v4l2:/dev/video0 or folder:DIR"
            ) from None
        except Exception as error:  # libcamera raises RuntimeError, IndexError (no camera) and others
            self.close()
            raise CameraLostError(
                f"the camera module was not found ({error}): check the ribbon cable with the power off"
            ) from None

    @property
    def name(self) -> str:
        """What the settings page shows."""
        return "Raspberry Pi camera"

    def preview(self) -> bytes:
        """One JPEG of the small stream."""
        return self._jpeg("capture_file")

    def capture(self) -> bytes:
        """One JPEG at the sensor's full size."""
        return self._jpeg("switch_mode_and_capture_file")

    def close(self) -> None:
        """Stop the sensor."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _jpeg(self, method: str) -> bytes:
        if self._camera is None:
            raise CameraLostError("the camera module is closed")
        target = io.BytesIO()
        try:
            if method == "capture_file":
                self._camera.capture_file(target, format="jpeg")
            else:
                self._camera.switch_mode_and_capture_file(self._still, target, format="jpeg")
        except Exception as error:  # as above
            self.close()
            raise CameraLostError(
                f"the camera module stopped answering ({error}): check the ribbon cable"
            ) from None
        return target.getvalue()
