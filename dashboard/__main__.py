"""`melanosizer dashboard` and `python -m dashboard`: the dashboard on what runs left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import USAGE, UsageError


def dashboard(
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace", "-w", help="The folder that holds everything runs make. Without it, `workspace`."
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port of the pages; 0 picks a free one. Without it, 8600.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on. Without it, 127.0.0.1.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file of settings, see docs/dashboard.md.")
    ] = None,
) -> None:
    """Show runs, verdicts, models, field and devices in the browser, until Ctrl-C.

    The first start makes an administrator and prints a link that signs in once.

    Example:  melanosizer dashboard --workspace workspace --port 8600
    """
    from dashboard.serve import run
    from dashboard.settings import load

    run(load(config, workspace=workspace, port=port, host=host))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(dashboard)


def main() -> None:
    """Run the dashboard alone, as its image does; end with 2 for wrong settings."""
    try:
        app()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USAGE)


if __name__ == "__main__":
    main()
