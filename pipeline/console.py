"""How commands print: lines, tables, and what the gates refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from core.records.verdict import Verdict


def say(console: Console, text: str, *, markup: bool = True) -> None:
    """Print a text in one piece: no number in it is coloured, and no path is broken, so that it can be copied."""
    console.print(text, highlight=False, soft_wrap=True, markup=markup)


def say_refusals(console: Console, verdicts: Iterable[Verdict]) -> None:
    """Print what each gate refused, with number, slice and limit."""
    for verdict in verdicts:
        for check in verdict.refusals:
            say(console, f"[red]{verdict.gate} gate:[/] {check.sentence()}")


def table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()
) -> Table:
    """Return a table whose cells fold instead of being cut; without a line of headings if all are empty."""
    made = Table(title=title, title_justify="left", show_header=any(headings))
    for heading in headings:
        made.add_column(heading, overflow="fold", justify="right" if heading in right else "left")
    for row in rows:
        made.add_row(*row)
    return made
