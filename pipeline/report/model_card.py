"""The model card: what was measured, on what, and what was not (Mitchell et al., FAT* 2019); and as hubs read it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from typing import Any, Final, Literal

import yaml
from pydantic import Field

from core.measures.rates import Interval
from core.numbers import count, percent, plural
from core.records.evaluation import External
from core.settings import Frozen
from pipeline.outcome import Outcome
from pipeline.report import paper, words
from pipeline.report.evidence import Evidence
from pipeline.report.performance import Performance
from pipeline.report.slices import Slice, Slices

HUB_FILE_NAME = "model_card.md"
# The hub's names of metrics; the others have ours.
_HUB_METRICS = {"auc": "roc_auc", "sensitivity": "recall", "brier_score": "brier_score"}
LOST: Final = 0.10  # of the sensitivity at the operating point: more is said aloud


class Reporting(Frozen):
    """Items of the field's reporting checklists: TRIPOD+AI (BMJ 2024;385:e078378), CLAIM (Radiology: AI 2024;6:e240300)."""

    filled: Sequence[str] = Field(description="what the run tells")
    missing: Sequence[str] = Field(description="what a person must write")


class ModelCard(Frozen):
    """Measured figures of one model; nothing in it was typed by a person."""

    schema_version: Literal[1] = 1
    model_name: str
    model_version: str
    created: datetime = Field(description="start of the run that made it, UTC")
    run_id: str
    software: str
    status: str = Field(description="pushed | unchanged | refused | failed")
    warning: str
    network: dict[str, Any] = Field(description="what the model says of itself, without its configuration")
    training: dict[str, Any] = Field(description="the trainer's configuration")
    data_version: str = Field(description="SHA-256 of the data set")
    label_counts: dict[str, dict[str, int]]
    test_images: int
    test_melanomas: int
    operating_point: float = Field(description="refer where the probability is at or above it")
    confidence: float = Field(description="coverage of every interval")
    metrics: dict[str, Interval] = Field(description="on the whole test split")
    positive_predictive_value: float | None = Field(description="at the test split's share of melanomas")
    negative_predictive_value: float | None
    slices: Sequence[Slice]
    gates: dict[str, bool]
    external: Sequence[External] = Field(description="measures on pictures from elsewhere")
    reporting: Reporting = Field(description="items of TRIPOD+AI and CLAIM")
    not_known: Sequence[str] = Field(description="what these figures do not tell")


def of(evidence: Evidence, performance: Performance, slices: Slices) -> ModelCard:
    """Make the card of the model a run has evaluated."""
    result, measures = evidence.result, performance.measures
    return ModelCard(
        model_name=evidence.model_name,
        model_version=str(evidence.model.get("model_version") or evidence.predictions[0].model_version),
        created=result.started,
        run_id=result.run_id,
        software=importlib.metadata.version("melanosizer"),
        status=result.status,
        warning=words.NOT_A_DEVICE,
        network={key: value for key, value in evidence.model.items() if key != "config"},
        training=evidence.config.get("trainer", {}),
        data_version=result.data_version,
        label_counts=(evidence.balance or {}).get("label_counts", {}),
        test_images=measures.images,
        test_melanomas=measures.positives,
        operating_point=measures.threshold,
        confidence=performance.confidence,
        metrics={
            "auc": measures.auc,
            "partial_auc": measures.partial_auc,
            "sensitivity": measures.sensitivity,
            "specificity": measures.specificity,
            "calibration_error": measures.ece,
            "brier_score": measures.brier,
            "refused_as_no_dermoscopy": performance.refused,
        },
        positive_predictive_value=performance.chosen.positive_predictive_value,
        negative_predictive_value=performance.chosen.negative_predictive_value,
        slices=[row for _, rows in slices.by_feature for row in rows],
        gates={verdict.gate: verdict.passed for verdict in result.verdicts},
        external=evidence.external,
        reporting=_reporting(evidence),
        not_known=_not_known(result, evidence, performance, slices),
    )


def _reporting(evidence: Evidence) -> Reporting:
    items = yaml.safe_load(
        resources.files("pipeline.report").joinpath("checklists.yaml").read_text(encoding="utf-8")
    )
    told = [name for name in ("robustness", "unseen_sources", "external") if getattr(evidence, name)]
    return Reporting(
        filled=[*items["by_a_run"], *(items[name] for name in told)],
        missing=[*items["by_a_person"], *([] if evidence.external else [items["no_external"]])],
    )


def weaknesses(robustness: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence for each change that costs more than `LOST` of the sensitivity, the worst first."""
    if not robustness or not robustness.get("rows"):
        return []
    plain, *changed = robustness["rows"]
    weak = [row for row in changed if plain["sensitivity"] - row["sensitivity"] > LOST]
    return [
        f"With {row['change']} ({row['strength']}) it finds {percent(row['sensitivity'])} of the melanomas of eval "
        f"at the same operating point, instead of {percent(plain['sensitivity'])}."
        for row in sorted(weak, key=lambda row: float(row["sensitivity"]))
    ]


def _not_known(result: Outcome, evidence: Evidence, performance: Performance, slices: Slices) -> list[str]:
    measures = performance.measures
    sentences = []
    refused = [verdict.gate for verdict in result.verdicts if not verdict.passed]
    if refused:
        sentences.append(f"The {' and the '.join(refused)} gate refused this model: it is not to be used.")
    sentences += weaknesses(evidence.robustness)
    single = dict(slices.single)
    if "source" in single and not evidence.external:
        sentences.append(
            f"Every test image comes from {single['source']}: other cameras, clinics and populations were not measured."
        )
    spread = measures.sensitivity
    sentences.append(
        f"The sensitivity stands on {plural(measures.positives, 'melanoma')}: the true one lies between "
        f"{percent(spread.low)} and {percent(spread.high)} with {percent(performance.confidence, 0)} confidence."
    )
    sentences.append(
        f"Predictive values hold where {percent(performance.chosen.prevalence)} of the lesions are melanomas, as in the test "
        "split; where melanomas are rarer, fewer of the referred have one."
    )
    if slices.too_small:
        parts = [f"{name} {', '.join(values)}" for name, values in slices.too_small.items()]
        sentences.append(f"Too few images to judge: {'; '.join(parts)}.")
    for feature in ("sex", "age_band", "anatom_site", "diagnosis"):
        unknown = sum(getattr(item, feature) == "unknown" for item in evidence.predictions)
        if unknown:
            sentences.append(
                f"The {words.group(feature)} of {count(unknown)} of {count(measures.images)} test images is not recorded."
            )
    sentences.append(
        "Skin tone is not recorded in the data; it is estimated from the skin around the lesion, which the camera's "
        "white balance shifts."
    )
    return sentences


def markdown(card: ModelCard) -> str:
    """Return the card as a hub's README.md; its head holds every figure of the test split and of data from elsewhere."""
    head = {
        "license": "other",
        "license_name": "terms-of-the-training-data",
        "language": "en",
        "pipeline_tag": "image-classification",
        "tags": ["melanoma", "dermoscopy", "medical-imaging", "tensorflow", "saved-model"],
        "model-index": [{"name": f"{card.model_name} {card.model_version}", "results": _results(card)}],
    }
    written = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return paper.markdown("model_card.md.j2", {"card": card, "head": written, "columns": _measured(card)})


def _measured(card: ModelCard) -> list[tuple[dict[str, str], Mapping[str, Interval]]]:
    """Return each data set, as the hub describes it, with the figures measured on it."""
    own = {"name": "own test split", "split": "test", "revision": card.data_version}
    found: list[tuple[dict[str, str], Mapping[str, Interval]]] = [(own, card.metrics)]
    for one in card.external:
        metrics = {
            "auc": one.auc,
            "sensitivity": one.sensitivity,
            "specificity": one.specificity,
            "calibration_error": one.ece,
            "brier_score": one.brier,
        }
        found.append(({"name": one.name, "split": "all", "revision": one.data_version}, metrics))
    return found


def _results(card: ModelCard) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": "image-classification", "name": "melanoma in dermoscopic images"},
            "dataset": {"type": "dermoscopy", **data},
            "metrics": [
                {
                    "type": _HUB_METRICS.get(key, key),
                    "name": words.metric(key),
                    "value": round(value.value, 4),
                }
                for key, value in metrics.items()
            ],
        }
        for data, metrics in _measured(card)
    ]
