"""`melanosizer presets` and `melanosizer runs`: what there is to choose from; and how every list is printed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline.commands.options import JsonOption, WorkspaceOption


def print_list(
    rows: Sequence[Mapping[str, Any]], *, title: str, key: str, as_json: bool, console: Console | None = None
) -> None:
    """Print rows of equal keys as a table, or as a JSON array; a value of None is an empty cell.

    The column `key` is never cut or folded: it is what is copied into the next command. Where nobody looks (a pipe),
    no other column is either.
    """
    if as_json:
        print(json.dumps(list(rows), indent=2, default=str))
        return
    console = console or Console()
    table = Table(title=title, title_justify="left")
    for heading in rows[0] if rows else (key,):
        width = max((len(str(row[heading])) for row in rows), default=0)
        whole = heading == key or not console.is_terminal
        table.add_column(heading, min_width=width if whole else None, no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else _cell(value) for value in row.values()))
    if not console.is_terminal:
        console = Console(
            file=console.file,
            width=max(console.measure(table, options=console.options.update(width=10_000)).maximum, 20),
        )
    console.print(table)


def presets(as_json: JsonOption = False) -> None:
    """List the presets: what each gives, what was measured with it, and how long it takes.

    Example:  melanosizer presets
    """
    from pipeline import config

    rows = []
    for name in config.preset_names():
        about = config.load(name).about
        rows.append({"preset": name, "purpose": about.purpose, "takes": about.takes, "expect": about.expect})
    print_list(rows, title="presets", key="preset", as_json=as_json)


def runs(workspace: WorkspaceOption = Path("workspace"), as_json: JsonOption = False) -> None:
    """List the runs of a workspace, newest first, with their verdict and what they measured.

    Example:  melanosizer runs --workspace workspace
    """
    from core.workspace import Workspace

    place = Workspace(workspace).existing()
    rows = [_run(folder) for folder in sorted(place.runs.iterdir(), reverse=True) if folder.is_dir()]
    if not rows and not as_json:
        typer.echo(f"no run in {workspace} yet; `melanosizer run --workspace {workspace}` makes one")
        return
    print_list(rows, title=f"runs of {workspace}", key="run", as_json=as_json)


def _run(folder: Path) -> dict[str, Any]:
    """Return a run's line; a record that cannot be read is shown as such, beside the others."""
    row: dict[str, Any] = {"run": folder.name} | dict.fromkeys(
        ("verdict", "started (UTC)", "seconds", "preset", "AUC", "version")
    )
    record = folder / "run.json"
    if not record.exists():
        return row | {"verdict": "no record: running, or stopped from outside"}
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return row | {
            "verdict": str(found["status"]),
            "started (UTC)": str(found["started"])[:16].replace("T", " "),
            "seconds": round(float(found["seconds"])),
            "preset": str(found["preset"]),
            "AUC": (found["metrics"] or {}).get("auc"),
            "version": found["version"],
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return row | {"verdict": f"damaged record {record}: {type(error).__name__}"}


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) and abs(value) <= 1 else str(value)
