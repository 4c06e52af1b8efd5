"""The short table at the end of a run."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from core.workspace import Workspace
from pipeline.console import say, say_refusals
from pipeline.outcome import Outcome

VERDICT = {
    "pushed": "[green]passed, pushed[/]",
    "unchanged": "[green]passed, unchanged: nothing to push[/]",
    "refused": "[red]refused[/]",
    "failed": "[red]failed[/]",
}


def table(result: Outcome, workspace: Workspace, report: Path | None) -> Table:
    """Return AUC, sensitivity, specificity, verdict, version and paths as a two-column table."""
    rows = Table(title=f"run {result.run_id}", show_header=False, title_justify="left")
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    rows.add_row("data version", result.data_version[:12])
    if result.metrics is not None:
        metrics = result.metrics
        rows.add_row("AUC", _value(metrics.auc))
        rows.add_row(
            "sensitivity",
            f"{_value(metrics.sensitivity)}  ({metrics.true_positives} of {metrics.positives} melanomas found)",
        )
        rows.add_row(
            "specificity",
            f"{_value(metrics.specificity)}  ({metrics.true_negatives} of {metrics.negatives} others cleared)",
        )
    if result.threshold is not None:
        rows.add_row("operating point", f"probability >= {result.threshold:.4f}")
    rows.add_row("gates", VERDICT[result.status])
    if result.status == "unchanged" and result.reason:
        rows.add_row("not released", result.reason)
    if result.version:
        rows.add_row("served version", result.version)
        rows.add_row("served from", str(workspace.serving))
    if result.model:
        rows.add_row("model", _shown(Path(result.model)))
    if report is not None:
        rows.add_row("report", str(report))
    rows.add_row("log", str(workspace.run(result.run_id) / "run.log"))
    rows.add_row("time", f"{result.seconds:.0f} s")
    return rows


def print_refusals(result: Outcome, console: Console) -> None:
    """Say what was refused, with number, slice and limit; or why the run failed."""
    say_refusals(console, result.verdicts)
    if result.status == "failed":
        say(console, f"[red]fault:[/] {result.reason}")


def write_report(result: Outcome, workspace: Workspace) -> Path | None:
    """Write the HTML report of a run that got as far as the data gate; None before that."""
    from pipeline.report import page

    if not result.verdicts:
        return None
    return page.write(result, workspace)


def _shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _value(number: float | None) -> str:
    return "not measurable" if number is None else f"{number:.3f}"
