"""What the commands of the studies share: the seed, and settings read from text."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

Config = TypeVar("Config", bound="BaseModel")

SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="The seed of everything that is drawn at random.")
]


def command_line() -> str:
    """Return the command that runs, for the facts of its page."""
    return shlex.join(["melanosizer", *sys.argv[1:]])


def validated(model: type[Config], values: Mapping[str, str]) -> Config:
    """Read text values as YAML into a configuration.

    Raises:
        UsageError: an unknown key, or a value out of range.
    """
    import yaml
    from pydantic import ValidationError

    from core.settings import explain
    from pipeline.config import put

    content: dict[str, object] = {}
    for name, text in values.items():
        put(content, name, yaml.safe_load(text))
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UsageError("; ".join(explain(error, model))) from None
