"""`melanosizer report`: write the report of a past run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.errors import UsageError
from pipeline.commands.options import WorkspaceOption


def report(
    workspace: WorkspaceOption = Path("workspace"),
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run", help="The name of a run, as its folder in WORKSPACE/runs. Without it, the newest."
        ),
    ] = None,
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

    from pipeline import outcome
    from pipeline.outcome import Outcome
    from pipeline.report import page

    ended = sorted(path.parent.name for path in place.runs.glob(f"*/{outcome.FILE_NAME}"))
    # A study writes one report of all its runs, in studies/.
    finished = [name for name in ended if not Outcome.load(place.run(name)).of_a_study]
    if run_id in ended and run_id not in finished:
        raise UsageError(f"--run {run_id}: is a study's; its report is in {place.root / 'studies'}")
    if not finished:
        raise UsageError(
            f"--workspace {workspace}: no run has finished there yet; `melanosizer run` makes one"
        )
    chosen = run_id or finished[-1]
    if chosen not in finished:
        raise UsageError(
            f"--run {chosen}: no such finished run; valid are {', '.join(reversed(finished[-10:]))}"
        )
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out}: is a folder; name a file, e.g. {out / page.FILE_NAME}")
    print(page.write(Outcome.load(place.run(chosen)), place, out))
