"""Errors a user can mend: their message is all that is printed."""

from __future__ import annotations


class UsageError(Exception):
    """Wrong usage or bad input; the command line ends with code 2."""


class RunFaultError(Exception):
    """A step failed for a reason that is neither the data nor a gate; the command line ends with code 1."""
