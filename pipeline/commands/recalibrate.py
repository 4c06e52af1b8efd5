"""`melanosizer recalibrate`: a released model, fitted to a clinic's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from core import process
from core.errors import UsageError
from pipeline.commands.options import (
    SetOption,
    VersionOption,
    WhoOption,
    WorkspaceOption,
    existing,
    overridden,
    released,
)

if TYPE_CHECKING:
    from core.records.version import VersionRecord
    from pipeline.recalibration import Fitted

WANTED_WIDTH = 0.05  # of a sensitivity that somebody could rely on
_FIELD = (
    "Outcomes are asked for more often where the model refers: the calibration holds for all answers, "
    "AUC, sensitivity and specificity for those with an outcome only."
)


def recalibrate(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            callback=existing,
            help=(
                "The clinic's labelled pictures: an ingested data set, or a folder or table that ingest understands. "
                "Without it, --field is needed."
            ),
        ),
    ] = None,
    field: Annotated[
        Path | None,
        typer.Option(
            "--field",
            help=(
                "Answers whose outcome was confirmed, in place of pictures: the file that the dashboard's page Field "
                "gives, Confirmed outcomes. Without it, --data is needed."
            ),
        ),
    ] = None,
    workspace: WorkspaceOption = Path("workspace"),
    sensitivity: Annotated[
        float,
        typer.Option(
            min=0.5,
            max=0.999,
            help="The sensitivity that the operating point is chosen for, 0.5 to 0.999; used with 20 melanomas or more.",
        ),
    ] = 0.9,
    version: VersionOption = None,
    overrides: SetOption = None,
    who: WhoOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Shows the figures and releases nothing.")
    ] = False,
) -> None:
    """Fit calibration, operating point and zones of a released version to a clinic's own labelled pictures.

    Or to its confirmed outcomes. One half of the patients is fitted on, the other measured on. The network is untouched: the same pictures are
    ranked as before. The result goes through the gates and is released as a version of its own; roll back as any other.

    Ends with 0 when a version was released, 3 when a gate refused.

    Example:  melanosizer recalibrate --data data/our-clinic --sensitivity 0.95
    """
    if (data is None) == (field is None):
        raise UsageError(
            "give one of --data (labelled pictures) and --field (the dashboard's confirmed outcomes)"
        )
    from core.workspace import Workspace

    console = Console()
    registry, parent = released(workspace, version)
    place = Workspace(workspace)

    from components.evaluator.config import EvaluatorConfig
    from components.serving_check.config import ServingCheckConfig
    from core.measures.operating_point import ZonesConfig
    from pipeline import data_set, recalibration

    limits = EvaluatorConfig.model_validate(
        {**parent.config.get("evaluator", {}), "external": (), **_limits(overrides)}
    )
    costs = ZonesConfig.model_validate(parent.config.get("trainer", {}).get("zones", {}))
    with place.locked():
        if field is not None:
            site = recalibration.from_field(field, parent.version, parent.model["threshold"])
        elif data is not None:
            folder = data_set.ready(data, place, console)
            count = ServingCheckConfig.model_validate(parent.config.get("serving_check", {})).golden_requests
            site = recalibration.ask(registry.served / parent.version, folder, limits, count)
        fitted = recalibration.fit(
            site.answers,
            site.groups,
            sensitivity=sensitivity,
            costs=costs,
            samples=limits.bootstrap_samples,
            confidence=limits.confidence,
        )
        console.print(_table(parent, fitted))
        for sentence in _sentences(fitted, sensitivity, limits.confidence):
            console.print(sentence, highlight=False, soft_wrap=True)
        if field is not None:
            console.print(_FIELD, highlight=False, soft_wrap=True)
        if dry_run:
            return
        new, verdicts = recalibration.release(
            registry, parent, site, fitted, limits, who=who or process.user()
        )
    for verdict in verdicts:
        for check in verdict.refusals:
            console.print(f"[red]{verdict.gate} gate:[/] {check.sentence()}", highlight=False, soft_wrap=True)
    if not new:
        raise typer.Exit(3)
    console.print(
        f"version {new} is released, version {parent.version} its parent; `melanosizer models rollback` goes back.",
        highlight=False,
        soft_wrap=True,
    )


def _limits(overrides: list[str] | None) -> dict[str, object]:
    import yaml

    values: dict[str, object] = {}
    for key, value in overridden(overrides).items():
        part, _, name = key.partition(".")
        if part != "evaluator" or not name:
            raise UsageError(
                f"--set {key}={value}: only the model gate's limits can be set here, as evaluator.NAME"
            )
        values[name] = yaml.safe_load(value)
    return values


def _table(parent: VersionRecord, fitted: Fitted) -> Table:
    table = Table(title=f"version {parent.version} on the half that was not fitted on", title_justify="left")
    for name in ("", "before", "after"):
        table.add_column(name)
    table.add_row("images, melanomas", f"{fitted.after.images}, {fitted.after.positives}", "the same")
    for label, name in (
        ("AUC", "auc"),
        ("sensitivity", "sensitivity"),
        ("specificity", "specificity"),
        ("calibration error", "ece"),
        ("Brier score", "brier"),
    ):
        table.add_row(label, str(getattr(fitted.before, name)), str(getattr(fitted.after, name)))
    for label, name in (("calibration intercept", "intercept"), ("calibration slope", "slope")):
        table.add_row(
            label, str(getattr(fitted.line_before, name) or "–"), str(getattr(fitted.line_after, name) or "–")
        )
    table.add_row("decides from", f"{fitted.before.threshold:.4f}", f"{fitted.threshold:.4f}")
    zones = parent.model["zones"]
    for label, limit in (("zone low below", "low_below"), ("zone refer from", "refer_from")):
        table.add_row(label, f"{zones[limit]:.4f}", f"{getattr(fitted.zones, limit):.4f}")
    return table


def _sentences(fitted: Fitted, sensitivity: float, confidence: float) -> list[str]:
    from core.measures.recalibration import FOR_A_LINE, half_width, needed

    kind = (
        "calibration (factor and shift of the log-odds)"
        if fitted.recalibration.kind == "line"
        else "the prior alone (a shift of the log-odds)"
    )
    said = [f"Fitted on {fitted.images} pictures with {fitted.melanomas} melanomas: {kind}."]
    if fitted.wanted_sensitivity is None:
        said.append(
            f"The operating point decides as before: {FOR_A_LINE} melanomas to fit on are needed to choose another."
        )
    found, count = fitted.after.sensitivity.value, fitted.after.positives
    said.append(
        f"With {count} melanomas the sensitivity is known to +-{half_width(found, count, confidence):.2f}; "
        f"+-{WANTED_WIDTH:.2f} at {sensitivity:.2f} takes {needed(sensitivity, WANTED_WIDTH, confidence)} melanomas."
    )
    return said
