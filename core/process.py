"""This process: its processors, its user and home, and imports of large libraries."""

from __future__ import annotations

import gc
import getpass
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cores() -> int:
    """Return the number of processors of this process: fewer than the machine's in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ensure_home() -> Path:
    """Return the home folder; name one in the folder for temporary files as HOME where there is none.

    A container's user may be a number without an entry in /etc/passwd, as OpenShift gives. Libraries look for caches and
    settings below HOME and end with a traceback without one. Nothing that has to last belongs there. The folder is this
    user's alone: one that somebody else put there is not taken.
    """
    try:
        return Path.home()
    except RuntimeError:
        pass
    home = Path(tempfile.gettempdir()) / f"melanosizer-home-{os.geteuid()}"
    try:
        home.mkdir(mode=0o700)
    except FileExistsError:
        found = home.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            home = Path(tempfile.mkdtemp(prefix="melanosizer-home-"))
    os.environ["HOME"] = str(home)
    return home


def user() -> str:
    """Return who runs this; a container's user may have a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@contextmanager
def uncollected() -> Iterator[None]:
    """Import inside without looking for garbage, and never look through what was imported.

    TFX and what it brings makes two million objects, which all stay. Python looks through all of them again each time
    their number has grown by a quarter, and twice when the process ends: a third of the time of importing TFX. Meant for
    a command's own process, once.
    """
    if gc.get_freeze_count() or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
