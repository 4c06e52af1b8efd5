"""Errors a user can mend, whose message is all that is printed, and the exit codes of what went wrong."""

from __future__ import annotations

from typing import Final

# What the command line, and a step in a container, ends with.
FAULT: Final = 1
USAGE: Final = 2
REFUSED: Final = 3


class UsageError(Exception):
    """Wrong usage or bad input; the command line ends with code 2."""


class RunFaultError(Exception):
    """A step failed for a reason that is neither the data nor a gate; the command line ends with code 1."""
