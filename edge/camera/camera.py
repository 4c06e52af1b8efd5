"""What the device asks of a camera."""

from __future__ import annotations

from typing import Protocol


class CameraLostError(Exception):
    """The camera is not there or stopped answering; the text names it and the way back."""


class Camera(Protocol):
    """A source of photographs; every method raises CameraLostError when the hardware is gone."""

    @property
    def name(self) -> str:
        """What the settings page shows."""
        ...

    def preview(self) -> bytes:
        """One small JPEG of what the camera sees now."""
        ...

    def capture(self) -> bytes:
        """One JPEG at full size."""
        ...

    def close(self) -> None:
        """Gives the hardware back; safe to call twice."""
        ...
