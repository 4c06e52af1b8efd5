"""Up to five runs side by side."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from core.charts import performance
from core.charts.performance import NamedCurve
from core.measures.rates import Interval
from dashboard import charts
from dashboard.access import Viewer
from dashboard.faults import present
from dashboard.page import ANSWERS, Page, Part, respond
from dashboard.readers.evidence import MEASURES
from dashboard.readers.runs import Run
from dashboard.services import Using
from dashboard.words import differing

router = APIRouter(tags=["runs"])

MOST_COMPARED = 5
NO_CURVE = np.empty((0, 2))


class Column(Part):
    """One of several runs."""

    run: Run
    auc: Interval | None
    average_precision: float | None
    brier: float | None
    calibration_error: float | None
    images: int


class ComparePage(Page):
    """Several runs side by side."""

    columns: tuple[Column, ...]
    choices: tuple[str, ...]
    differences: tuple[tuple[str, tuple[str, ...]], ...] = Field(
        description="settings that are not all equal"
    )


@router.get("/runs/compare", response_model=ComparePage, responses=ANSWERS)
def compare(
    request: Request,
    using: Using,
    _: Viewer,
    run: Annotated[list[str] | None, Query(max_length=MOST_COMPARED)] = None,
) -> Response:
    """Metrics, curves and settings of up to five runs."""
    columns, named, histories, configs = [], [], [], []
    for run_id in dict.fromkeys(run or []):
        found = present(using.runs.run(run_id), f"there is no run {run_id[:80]}")
        predictions = using.evidence.of_run(run_id)
        quality = using.evidence.quality(run_id)
        columns.append(
            Column(
                run=found,
                **{measure: getattr(quality, measure, None) for measure in MEASURES},
                images=len(predictions) if predictions else 0,
            )
        )
        # A run without a curve keeps its place in the legend: a colour is one run's on the whole page.
        named.append(
            NamedCurve(run_id, quality.roc, quality.auc.value) if quality else NamedCurve(run_id, NO_CURVE)
        )
        histories.append((run_id, using.evidence.epochs(run_id)))
        configs.append(using.runs.config(run_id))
    model = ComparePage(
        title="Compare runs",
        columns=tuple(columns),
        choices=tuple(using.runs.ids()[:200]),
        differences=differing(configs),
    )
    extra: dict[str, Any] = {
        "roc": charts.place(performance.roc(named)) if any(len(one.points) for one in named) else "",
        "training": [
            (
                f"{y_title[0].upper()}{y_title[1:]} by epoch",
                charts.by_epoch(
                    f"{y_title} by epoch", y_title, {name: (rows, key) for name, rows in histories}, low=low
                ),
            )
            for key, y_title, low in (
                ("eval_auc", "AUC on eval", None),
                ("loss", "training loss", None),
                ("false_negatives", "melanomas of eval missed at 0.5", 0.0),
            )
        ],
    }
    return respond(request, using, "compare.html", model, extra=extra)
