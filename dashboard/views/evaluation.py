"""The evaluation of a version: curves, threshold, zones, slices, and the worst errors."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from pydantic import Field

from core.heatmap import paint
from dashboard import measures
from dashboard.access import Viewer
from dashboard.charts import curves as curve_charts
from dashboard.charts import series
from dashboard.faults import missing
from dashboard.gateway.client import ServerError
from dashboard.gateway.predict import MAP_SIDE
from dashboard.measures import Confusion, Interval, Zones
from dashboard.page import ANSWERS, Page, Part, environment, of_kind, respond
from dashboard.readers.predictions_csv import SLICES, Predictions
from dashboard.services import Services, Using

router = APIRouter(prefix="/models", tags=["evaluation"])

WORST = 12


class Slice(Part):
    """A part of the test split."""

    column: str
    value: str
    images: int
    melanomas: int
    auc: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None
    enough: bool = Field(description="has at least min_slice_positives melanomas")


class WorstError(Part):
    """An image the model was most wrong about."""

    name: str
    label: int
    probability: float
    diagnosis: str
    picture: bool


class EvaluationPage(Page):
    """A version on its test split."""

    version: str
    images: int
    melanomas: int
    stored_threshold: float = Field(description="the operating point inside the model")
    threshold: float = Field(description="the one that is looked at")
    low_below: float
    auc: Interval
    average_precision: Interval
    brier: float
    calibration_error: float
    confusion: Confusion
    zones: Zones
    stored_zones: Zones
    slices: tuple[Slice, ...]
    missed: tuple[WorstError, ...] = Field(description="melanomas with the lowest probabilities")
    needless: tuple[WorstError, ...] = Field(description="other lesions with the highest")
    min_slice_positives: int


Probability = Annotated[float | None, Query(ge=0, le=1)]


@router.get("/{name}/evaluation", response_model=EvaluationPage, responses=ANSWERS)
def evaluation(
    request: Request,
    using: Using,
    _: Viewer,
    name: str,
    threshold: Probability = None,
    low_below: Probability = None,
) -> Response:
    """Everything measured on the test split, at any threshold."""
    predictions = _predictions(using, name)
    facts = using.registry.model_facts(name)
    stored = float(facts.get("threshold") or 0.5)
    zones = facts.get("zones") or {}
    stored_low = min(float(zones.get("low_below", stored / 2)), stored)
    chosen = stored if threshold is None else threshold
    low = min(stored_low if low_below is None else low_below, chosen)
    labels, scores = predictions.labels, predictions.scores
    found = using.evidence.curves(using.evidence.run_of(name) or "")
    if found is None:
        raise missing(f"the test split of version {name} holds one class only: nothing can be measured")
    data_version = str((using.registry.record(name) or {}).get("parents", {}).get("data_version", ""))
    model = EvaluationPage(
        title=f"Evaluation of {name}",
        version=name,
        images=len(predictions),
        melanomas=int(labels.sum()),
        stored_threshold=stored,
        threshold=chosen,
        low_below=low,
        auc=found.auc,
        average_precision=found.average_precision,
        brier=measures.brier(labels, scores) or 0.0,
        calibration_error=measures.calibration_error(labels, scores) or 0.0,
        confusion=measures.confusion(labels, scores, chosen),
        zones=measures.zones(labels, scores, low, chosen),
        stored_zones=measures.zones(labels, scores, stored_low, stored),
        slices=tuple(_slices(predictions, chosen, using.settings.min_slice_positives)),
        missed=tuple(_worst(using, data_version, predictions, 1)),
        needless=tuple(_worst(using, data_version, predictions, 0)),
        min_slice_positives=using.settings.min_slice_positives,
    )
    extra: dict[str, Any] = {
        "roc": curve_charts.roc([(name, found)], model.confusion),
        "precision_recall": curve_charts.precision_recall(
            [(name, found)], float(labels.mean()), model.confusion
        ),
        "reliability": curve_charts.reliability(measures.reliability(labels, scores)),
        "zone_bar": _zone_bar(model.zones),
        "whiskers": {
            (row.column, row.value): series.whisker(
                row.auc.value, row.auc.low, row.auc.high, found.auc.value, "series-0"
            )
            for row in model.slices
            if row.auc is not None and row.enough
        },
    }
    return respond(request, using, "evaluation.html", model, extra=extra)


@router.get("/{name}/images/{image}", response_model=None, responses=of_kind("image/jpeg"))
def picture(using: Using, _: Viewer, name: str, image: str) -> Response:
    """The small picture of an image of the test split."""
    record = using.registry.record(name)
    path = using.data_index.thumbnail(str((record or {}).get("parents", {}).get("data_version", "")), image)
    if path is None:
        raise missing("there is no such picture")
    return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/{name}/heat-map/{image}", response_model=None, responses=of_kind("text/html"))
async def heat_map(using: Using, _: Viewer, name: str, image: str) -> Response:
    """Where this version looked, as a piece of a page."""
    record = using.registry.record(name)
    path = using.data_index.thumbnail(str((record or {}).get("parents", {}).get("data_version", "")), image)
    if path is None:
        raise missing("there is no such picture")
    data = path.read_bytes()
    trouble, encoded = "", ""
    try:
        loaded = {str(one.version) for one in await using.model_server.versions() if one.state == "AVAILABLE"}
        heat = await using.model_server.explain(data, "", name) if name in loaded else None
        if name not in loaded:
            trouble = f"version {name} is not loaded by the model server"
        elif heat is None:
            trouble = "this version cannot say where it looked (no `explain` signature)"
        else:
            import base64

            encoded = base64.b64encode(paint(data, heat, MAP_SIDE)).decode()
    except ServerError:
        trouble = "the model server does not answer"
    html = environment().get_template("heat_map.html").render(encoded=encoded, trouble=trouble, image=image)
    return HTMLResponse(html)


def _predictions(using: Services, name: str) -> Predictions:
    if using.registry.record(name) is None:
        raise missing(f"there is no version {name[:40]}")
    run_id = using.evidence.run_of(name)
    predictions = using.evidence.of_run(run_id) if run_id else None
    if predictions is None:
        raise missing(f"the evaluation of version {name} is not in this workspace (run {run_id})")
    return predictions


def _slices(predictions: Predictions, threshold: float, least: int) -> list[Slice]:
    result = []
    for column in SLICES:
        values = np.array(predictions.groups.get(column, []), dtype=object)
        if not len(values) or column == "diagnosis":
            continue
        for value in sorted({one for one in values if one}):
            mask = values == value
            labels, scores = predictions.labels[mask], predictions.scores[mask]
            counts = measures.confusion(labels, scores, threshold)
            result.append(
                Slice(
                    column=column,
                    value=value,
                    images=int(mask.sum()),
                    melanomas=int(labels.sum()),
                    auc=measures.auc_interval(labels, scores),
                    sensitivity=counts.sensitivity,
                    specificity=counts.specificity,
                    enough=int(labels.sum()) >= least,
                )
            )
    return result


def _worst(using: Services, data_version: str, predictions: Predictions, label: int) -> list[WorstError]:
    mine = np.flatnonzero(predictions.labels == label)
    order = mine[np.argsort(predictions.scores[mine], kind="stable")]
    chosen = order[:WORST] if label == 1 else order[::-1][:WORST]
    diagnoses = predictions.groups.get("diagnosis", [""] * len(predictions))
    return [
        WorstError(
            name=predictions.names[i],
            label=label,
            probability=float(predictions.scores[i]),
            diagnosis=diagnoses[i],
            picture=using.data_index.thumbnail(data_version, predictions.names[i]) is not None,
        )
        for i in chosen
    ]


def _zone_bar(zones: Zones) -> Any:
    parts = [
        ("found", zones.found, f"melanomas referred: {zones.found:g}"),
        ("review", zones.reviewed, f"melanomas in review: {zones.reviewed:g}"),
        ("missed", zones.missed, f"melanomas missed: {zones.missed:g}"),
        ("needless", zones.needless, f"others, referred: {zones.needless:g}"),
        ("watched", zones.looked_at, f"others, in review: {zones.looked_at:g}"),
        ("cleared", zones.cleared, f"others, cleared: {zones.cleared:g}"),
    ]
    return series.stacked(parts, "what happens to 1,000 people")
