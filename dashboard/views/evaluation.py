"""The evaluation of a version: curves, threshold, zones, slices, and the worst errors."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from numpy.typing import NDArray
from pydantic import Field

from core.charts import marks, performance
from core.charts.performance import NamedCurve
from core.heatmap import paint
from core.measures.auc import auc_interval
from core.measures.calibration import CALIBRATION_METHOD, CalibrationLine, calibration_line, reliability
from core.measures.rates import Confusion, Interval, Labels, Scores, confusion
from core.records.evaluation import External
from dashboard import charts
from dashboard.access import Viewer
from dashboard.faults import FaultError, missing, present
from dashboard.gateway.predict import MAP_SIDE
from dashboard.page import ANSWERS, Page, Part, environment, jpeg, of_kind, respond
from dashboard.readers.evidence import MEASURES, SLICES, Predictions
from dashboard.services import Services, Using
from dashboard.views.models import recorded

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


class ZoneOutcomes(Part):
    """What three zones would mean for 1,000 people like those of the test split."""

    low_below: float = Field(description="probabilities below this lie in the low zone")
    refer_from: float = Field(description="probabilities from this on are referred")
    found: float = Field(description="melanomas referred, per 1,000 people")
    reviewed: float = Field(description="melanomas in the review zone, per 1,000")
    missed: float = Field(description="melanomas in the low zone, per 1,000")
    needless: float = Field(description="other lesions referred, per 1,000")
    looked_at: float = Field(description="other lesions in the review zone, per 1,000")
    cleared: float = Field(description="other lesions in the low zone, per 1,000")


class EvaluationPage(Page):
    """A version on its test split."""

    version: str
    images: int
    melanomas: int
    stored_threshold: float = Field(description="the operating point inside the model")
    threshold: float = Field(description="the one that is looked at")
    auc: Interval = Field(description="DeLong's interval on the logit scale")
    average_precision: float
    brier: float
    calibration_error: float = Field(description=CALIBRATION_METHOD)
    confusion: Confusion
    sensitivity: Interval | None = Field(description="at the threshold, Wilson's interval")
    specificity: Interval | None = Field(description="at the threshold, Wilson's interval")
    zones: ZoneOutcomes
    stored_zones: ZoneOutcomes = Field(description="with the limits inside the model")
    slices: tuple[Slice, ...]
    missed: tuple[WorstError, ...] = Field(description="melanomas with the lowest probabilities")
    needless: tuple[WorstError, ...] = Field(description="other lesions with the highest")
    min_slice_positives: int
    line: CalibrationLine
    elsewhere: tuple[External, ...] = Field(description="on pictures of other cameras and clinics")
    damaged: tuple[str, ...] = Field(description="files that cannot be read")


Probability = Annotated[float | None, Query(ge=0, le=1)]


@router.get("/{name}/evaluation", response_model=EvaluationPage, responses=ANSWERS)
def evaluation(
    request: Request,
    using: Using,
    _: Viewer,
    name: str,
    threshold: Probability = None,
    low_below: Probability = None,
    refer_from: Probability = None,
) -> Response:
    """Everything measured on the test split, at any threshold and with any zones."""
    record = recorded(using, name)
    run_id = record.run_id
    predictions = present(
        using.evidence.of_run(run_id),
        f"the evaluation of version {name} is not in this workspace (run {run_id or None})",
    )
    stored, stored_low, stored_refer = stored_limits(record.model)
    chosen = stored if threshold is None else threshold
    refer = stored_refer if refer_from is None else refer_from
    low = min(stored_low if low_below is None else low_below, refer)
    labels, scores = predictions.labels, predictions.scores
    found = present(
        using.evidence.quality(run_id),
        f"the test split of version {name} holds one class only: nothing can be measured",
    )
    counts = confusion(labels, scores, chosen)
    elsewhere, damaged = using.evidence.elsewhere(run_id)
    data_version = record.parents.data_version
    model = EvaluationPage(
        title=f"Evaluation of {name}",
        version=name,
        images=len(predictions),
        melanomas=int(labels.sum()),
        stored_threshold=stored,
        threshold=chosen,
        **{measure: getattr(found, measure) for measure in MEASURES},
        confusion=counts,
        sensitivity=counts.sensitivity_interval(),
        specificity=counts.specificity_interval(),
        zones=_zones(labels, scores, low, refer),
        stored_zones=_zones(labels, scores, stored_low, stored_refer),
        slices=tuple(_slices(predictions, chosen, using.settings.min_slice_positives)),
        missed=tuple(_worst(using, data_version, predictions, 1)),
        needless=tuple(_worst(using, data_version, predictions, 0)),
        min_slice_positives=using.settings.min_slice_positives,
        line=calibration_line(labels, scores),
        elsewhere=elsewhere,
        damaged=damaged,
    )
    roc = NamedCurve(name, found.roc, found.auc.value, found.roc_band)
    precision = NamedCurve(name, found.precision_recall, found.average_precision, found.precision_recall_band)
    extra: dict[str, Any] = {
        "roc": charts.place(performance.roc([roc], counts)),
        "precision_recall": charts.place(
            performance.precision_recall([precision], float(labels.mean()), counts)
        ),
        "reliability": charts.place(performance.reliability(reliability(labels, scores))),
        "zone_bar": _zone_bar(model.zones),
        "ece_method": CALIBRATION_METHOD,
        "stored": confusion(labels, scores, stored),
        "whiskers": {
            (row.column, row.value): marks.whisker(row.auc, low=0.5, overall=found.auc.value)
            for row in model.slices
            if row.auc is not None and row.enough
        },
    }
    return respond(request, using, "evaluation.html", model, extra=extra)


@router.get("/{name}/images/{image}", response_model=None, responses=of_kind("image/jpeg"))
def picture(using: Using, _: Viewer, name: str, image: str) -> Response:
    """The small picture of an image of the test split."""
    return jpeg(_thumbnail(using, name, image))


@router.get("/{name}/heat-map/{image}", response_model=None, responses=of_kind("text/html"))
async def heat_map(using: Using, _: Viewer, name: str, image: str) -> Response:
    """Where this version looked, as a piece of a page."""
    data = _thumbnail(using, name, image).read_bytes()
    trouble, encoded = "", ""
    try:
        loaded = {str(one.version) for one in await using.model_server.versions() if one.state == "AVAILABLE"}
        heat = await using.model_server.explain(data, "", name) if name in loaded else None
        if name not in loaded:
            trouble = f"version {name} is not loaded by the model server"
        elif heat is None:
            trouble = "this version cannot say where it looked (no `explain` signature)"
        else:
            encoded = base64.b64encode(paint(data, heat, MAP_SIDE)).decode()
    except FaultError:
        trouble = "the model server does not answer"
    html = environment().get_template("heat_map.html").render(encoded=encoded, trouble=trouble, image=image)
    return HTMLResponse(html)


def _thumbnail(using: Services, name: str, image: str) -> Path:
    record = using.registry.readable(name)
    found = using.data_index.thumbnail(record.parents.data_version, image) if record else None
    return present(found, "there is no such picture")


def _slices(predictions: Predictions, threshold: float, least: int) -> Iterator[Slice]:
    for column in SLICES:
        values = np.array(predictions.groups.get(column, []), dtype=object)
        if not len(values) or column == "diagnosis":
            continue
        for value in sorted({one for one in values if one}):
            mask = values == value
            labels, scores = predictions.labels[mask], predictions.scores[mask]
            counts = confusion(labels, scores, threshold)
            yield Slice(
                column=column,
                value=value,
                images=counts.total,
                melanomas=counts.positives,
                auc=auc_interval(labels, scores) if counts.positives and counts.negatives else None,
                sensitivity=counts.sensitivity_interval(),
                specificity=counts.specificity_interval(),
                enough=counts.positives >= least,
            )


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


def stored_limits(facts: dict[str, Any]) -> tuple[float, float, float]:
    """Return the operating point, `low_below` and `refer_from` that stand in the model, as the server applies them.

    Raises FaultError 404 where the registry's record holds something else there.
    """
    try:
        threshold = float(facts.get("threshold") or 0.5)
        zones = facts.get("zones") or {}
        refer = float(zones.get("refer_from", threshold))
        low = min(float(zones.get("low_below", threshold)), refer)
    except (AttributeError, TypeError, ValueError):
        raise missing("the version's record is damaged: its threshold and zones are not numbers") from None
    if not all(0 <= one <= 1 for one in (threshold, low, refer)):
        raise missing("the version's record is damaged: its threshold and zones do not lie in 0 to 1")
    return threshold, low, refer


def _zones(labels: Labels, scores: Scores, low_below: float, refer_from: float) -> ZoneOutcomes:
    scale = 1000 / max(1, len(labels))
    melanoma, low, refer = labels == 1, scores < low_below, scores >= refer_from
    review = ~low & ~refer

    def per_1000(mask: NDArray[np.bool_]) -> float:
        return round(float(mask.sum()) * scale, 2)

    return ZoneOutcomes(
        low_below=low_below,
        refer_from=refer_from,
        found=per_1000(melanoma & refer),
        reviewed=per_1000(melanoma & review),
        missed=per_1000(melanoma & low),
        needless=per_1000(~melanoma & refer),
        looked_at=per_1000(~melanoma & review),
        cleared=per_1000(~melanoma & low),
    )


def _zone_bar(zones: ZoneOutcomes) -> Any:
    parts = [
        (zones.found, "found", f"melanomas referred: {zones.found:g}"),
        (zones.reviewed, "review", f"melanomas in review: {zones.reviewed:g}"),
        (zones.missed, "missed", f"melanomas missed: {zones.missed:g}"),
        (zones.needless, "needless", f"others, referred: {zones.needless:g}"),
        (zones.looked_at, "watched", f"others, in review: {zones.looked_at:g}"),
        (zones.cleared, "cleared", f"others, cleared: {zones.cleared:g}"),
    ]
    return marks.stacked(parts, width=900, height=26, kind="stacked", stretched=True)
