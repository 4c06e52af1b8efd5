"""What the commands of the studies share: the seed, and the command line for the facts of a page."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="The seed of everything that is drawn at random.")
]


def command_line() -> str:
    """Return the command that runs, for the facts of its page."""
    return shlex.join(["melanosizer", *sys.argv[1:]])
