"""`melanosizer dashboard`: the dashboard on what runs left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.errors import UsageError


def dashboard(
    workspace: Annotated[
        Path, typer.Option("--workspace", help="The workspace that `make run` wrote.")
    ] = Path("workspace"),
    port: Annotated[int | None, typer.Option(help="Port, 8600 by default; 0 picks a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, 127.0.0.1 by default.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings, see docs/dashboard.md.")] = None,
) -> None:
    """Show runs, verdicts, models, field and devices in the browser, until Ctrl-C.

    The first start makes an administrator and prints a link that signs in once.

    Example:  melanosizer dashboard --workspace workspace --port 8600
    """
    from dashboard.serve import run
    from dashboard.settings import SettingsError, load

    try:
        run(load(config, workspace=workspace, port=port, host=host))
    except SettingsError as error:
        raise UsageError(str(error)) from None
