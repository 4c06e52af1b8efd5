"""The device's own health, read from the kernel."""

from __future__ import annotations

import os
import resource
from pathlib import Path

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
STATM = Path("/proc/self/statm")


def temperature_c(path: Path = THERMAL) -> float | None:
    """Return the processor's temperature in degrees Celsius; None where the kernel shows none."""
    try:
        return int(path.read_text()) / 1000.0
    except (OSError, ValueError):
        return None


def memory_bytes() -> int:
    """Resident memory of this process."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
