"""Errors a user can mend, whose message is all that is printed, and the exit codes of what went wrong."""

from __future__ import annotations

from typing import Final

# What the command line, and a step in a container, ends with.
FAULT: Final = 1
USAGE: Final = 2
REFUSED: Final = 3

ROOMS: Final = frozenset(
    {"core", "serving", "components", "pipeline", "studies", "dashboard", "edge", "schemas"}
)


class UsageError(Exception):
    """Wrong usage or bad input; the command line ends with code 2."""


class RunFaultError(Exception):
    """A step failed for a reason that is neither the data nor a gate; the command line ends with code 1."""


def missing_extra(error: ModuleNotFoundError, command: str, extra: str) -> str:
    """Return the sentence for a command, such as `melanosizer serve`, whose libraries an extra of the package brings.

    Raises:
        ModuleNotFoundError: `error` itself, if a module of the product is missing: that is a fault.
    """
    if (error.name or "").partition(".")[0] in ROOMS:
        raise error
    return (
        f"{error.name or error} is not installed: `{command}` needs the extra [{extra}]; "
        f"run `pip install 'melanosizer[{extra}]'`"
    )
