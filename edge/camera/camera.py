"""What the device asks of a camera."""

from __future__ import annotations

from typing import Protocol


class CameraLostError(Exception):
    """The camera is not there or stopped answering; the text names it and the way back."""


class CameraHungError(CameraLostError):
    """The camera took a request and gave neither a picture nor an error within its deadline."""


class Camera(Protocol):
    """A source of photographs; every method raises CameraLostError when the hardware is gone."""

    @property
    def name(self) -> str:
        """What the settings page shows."""
        ...

    def preview(self) -> bytes:
        """Return one small JPEG of what the camera sees now."""
        ...

    def capture(self) -> bytes:
        """Return one JPEG at full size."""
        ...

    def close(self) -> None:
        """Give the hardware back; safe to call twice."""
        ...
