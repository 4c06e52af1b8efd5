"""`melanosizer report`: write the report of a past run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.errors import UsageError
from pipeline.commands.options import RunOption, WorkspaceOption


def report(
    workspace: WorkspaceOption = Path("workspace"),
    run_id: RunOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The HTML file that is written. Without it, report.html in the run's folder."
        ),
    ] = None,
) -> None:
    """Write the HTML report of a run from what it left, and print the file's path.

    The model card and the data card (HTML and JSON) are written beside it.

    Example:  melanosizer report --workspace workspace --out report.html
    """
    from core.workspace import Workspace

    place = Workspace(workspace).existing()

    from pipeline.ecosystem import finished_run

    chosen = finished_run.choose(place, run_id)
    # A study writes one report of all its runs, in studies/.
    if finished_run.of_a_study(place.run(chosen)):
        raise UsageError(f"--run {chosen}: is a study's; its report is in {place.root / 'studies'}")

    from pipeline.outcome import Outcome
    from pipeline.report import page

    if out is not None and out.is_dir():
        raise UsageError(f"--out {out}: is a folder; name a file, e.g. {out / page.FILE_NAME}")
    print(page.write(Outcome.load(place.run(chosen)), place, out))
