"""`python -m dashboard`: the dashboard on its own, as its image starts it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dashboard.settings import SettingsError, load

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def dashboard(
    workspace: Annotated[Path | None, typer.Option(help="Folder that `melanosizer run` writes.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings, see docs/dashboard.md.")] = None,
) -> None:
    """Show runs, models, field and fleet of a workspace.

    Example:  python -m dashboard --workspace workspace --port 8600
    """
    from dashboard.serve import run

    try:
        run(load(config, workspace=workspace, port=port, host=host))
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    app()
