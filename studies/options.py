"""What the commands of the studies share: the seed, settings read from text, and what they print."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pydantic import BaseModel
    from rich.console import Console

Config = TypeVar("Config", bound="BaseModel")

SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="The seed of everything that is drawn at random.")
]


def command_line() -> str:
    """Return the command that runs, for the facts of its page."""
    return shlex.join(["melanosizer", *sys.argv[1:]])


def tell(console: Console, text: str) -> None:
    """Print a sentence as it is: no word is coloured, no line is broken."""
    console.print(text, highlight=False, soft_wrap=True)


def show(
    console: Console,
    title: str,
    rows: Iterable[Sequence[str]],
    headings: Sequence[str] = (),
    whole: Collection[str] = (),
) -> None:
    """Print a table; cells below the headings in `whole` are not broken into lines."""
    table = Table(title=title, show_header=bool(headings), title_justify="left")
    for heading in headings:
        table.add_column(heading, no_wrap=heading in whole)
    for row in rows:
        table.add_row(*row)
    console.print(table)


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
