"""A home for a user who has none: a container's number without an entry in /etc/passwd, as OpenShift gives."""

from __future__ import annotations

import getpass
import os
import stat
import tempfile
from pathlib import Path


def ensure() -> Path:
    """Return the home folder; name one in the folder for temporary files as HOME where there is none.

    Libraries look for caches and settings below HOME and end with a traceback without one. Nothing that has to
    last belongs there. The folder is this user's alone: one that somebody else put there is not taken.
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
