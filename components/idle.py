"""What a step logs that had nothing to do, so that the list of a run's steps does not show it as done."""

from __future__ import annotations

from typing import Final

IDLE: Final = "Nothing to do: %s."
