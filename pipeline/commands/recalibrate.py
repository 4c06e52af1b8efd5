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
from pipeline.console import say, say_refusals, table

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
    from pipeline import config, data_set, recalibration

    changed = overridden(overrides)
    for key, value in changed.items():
        if not key.startswith("evaluator."):
            raise UsageError(
                f"--set {key}={value}: only the model gate's limits can be set here, as evaluator.NAME"
            )
    settings = {"evaluator": {**parent.config.get("evaluator", {}), "external": ()}}
    config.override(settings, changed)
    limits = config.validated(EvaluatorConfig, settings["evaluator"], "--set evaluator")
    costs = ZonesConfig.model_validate(parent.config.get("trainer", {}).get("zones", {}))
    serving_check = ServingCheckConfig.model_validate(parent.config.get("serving_check", {}))
    with place.locked():
        if field is not None:
            site = recalibration.from_field(field, parent.version, parent.model["threshold"])
        elif data is not None:
            folder = data_set.ready(data, place, console)
            count = serving_check.golden_requests
            site = recalibration.ask(registry.served / parent.version, folder, limits, count)
        fitted = recalibration.fit(site, limits, sensitivity=sensitivity, costs=costs)
        console.print(_table(parent, fitted))
        for sentence in _sentences(fitted, sensitivity, limits.confidence):
            say(console, sentence)
        if field is not None:
            say(console, _FIELD)
        if dry_run:
            return
        new, verdicts = recalibration.release(
            registry, parent, site, fitted, limits, who=who or process.user(), serving_check=serving_check
        )
    say_refusals(console, verdicts)
    if not new:
        raise typer.Exit(3)
    say(
        console,
        f"version {new} is released, version {parent.version} its parent; `melanosizer models rollback` goes back.",
    )


def _table(parent: VersionRecord, fitted: Fitted) -> Table:
    before, after, zones = fitted.before, fitted.after, parent.model["zones"]
    line_before, line_after = fitted.line_before, fitted.line_after
    compared = {
        "AUC": (before.auc, after.auc),
        "sensitivity": (before.sensitivity, after.sensitivity),
        "specificity": (before.specificity, after.specificity),
        "calibration error": (before.ece, after.ece),
        "Brier score": (before.brier, after.brier),
        "calibration intercept": (line_before.intercept or "–", line_after.intercept or "–"),
        "calibration slope": (line_before.slope or "–", line_after.slope or "–"),
        "decides from": (f"{before.threshold:.4f}", f"{fitted.threshold:.4f}"),
        "zone low below": (f"{zones['low_below']:.4f}", f"{fitted.zones.low_below:.4f}"),
        "zone refer from": (f"{zones['refer_from']:.4f}", f"{fitted.zones.refer_from:.4f}"),
    }
    return table(
        f"version {parent.version} on the half that was not fitted on",
        ("", "before", "after"),
        [
            ("images, melanomas", f"{after.images}, {after.positives}", "the same"),
            *((label, str(old), str(new)) for label, (old, new) in compared.items()),
        ],
    )


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
