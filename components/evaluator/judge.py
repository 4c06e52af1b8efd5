"""The model gate's rules, applied to what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from components.evaluator.config import EvaluatorConfig
from core.records.evaluation import External, SliceMetrics
from core.records.verdict import OVERALL, Check, Verdict, at_least

ALONE = "no other model was blessed on this data version before; not compared"


def judge(
    config: EvaluatorConfig,
    slices: Sequence[SliceMetrics],
    baseline_auc: float | None,
    uncompared: str = "",
    external: Sequence[External] = (),
) -> Verdict:
    """Return the verdict on a model by the metrics of the whole test split, of each slice, and of data from elsewhere.

    `baseline_auc` is that of the model blessed last on this data version; None if it is held against none, of which
    the check of the AUC says `uncompared`.

    Raises:
        ValueError: the metrics of the whole split are missing.
    """
    overall = next((item for item in slices if item.slice == OVERALL), None)
    if overall is None:
        raise ValueError("the Evaluator wrote no metrics of the whole test split")
    checks = [
        at_least(
            "auc",
            overall.auc,
            config.min_auc,
            detail=uncompared if baseline_auc is None else "",
            setting="evaluator.min_auc",
        ),
        at_least(
            "sensitivity",
            overall.sensitivity,
            config.min_sensitivity,
            detail=_found(overall),
            setting="evaluator.min_sensitivity",
        ),
        at_least(
            "specificity",
            overall.specificity,
            config.min_specificity,
            detail=_cleared(overall),
            setting="evaluator.min_specificity",
        ),
    ]
    if baseline_auc is not None:
        change = None if overall.auc is None else overall.auc - baseline_auc
        detail = f"the model blessed last has {baseline_auc:.4f}"
        checks.append(
            at_least(
                "auc_change", change, -config.max_auc_loss, detail=detail, setting="evaluator.max_auc_loss"
            )
        )
    checks.extend(_slice_checks(config, slices))
    checks.extend(_external_checks(config, external))
    return Verdict(gate="model", checks=tuple(checks))


def judged(config: EvaluatorConfig, item: SliceMetrics) -> bool:
    """Return whether a slice has enough of both classes to be judged."""
    return item.positives >= config.min_slice_positives and item.negatives >= config.min_slice_negatives


def _slice_checks(config: EvaluatorConfig, slices: Iterable[SliceMetrics]) -> Iterable[Check]:
    for item in slices:
        if item.slice != OVERALL and judged(config, item):
            size = f"{item.positives} melanomas of {item.positives + item.negatives} images"
            yield at_least(
                "auc", item.auc, config.min_slice_auc, item.slice, size, setting="evaluator.min_slice_auc"
            )
            yield at_least(
                "sensitivity",
                item.sensitivity,
                config.min_slice_sensitivity,
                item.slice,
                _found(item),
                setting="evaluator.min_slice_sensitivity",
            )


def _external_checks(config: EvaluatorConfig, external: Iterable[External]) -> Iterable[Check]:
    limits = {data.name: data for data in config.external}
    for item in external:
        given, where = limits[item.name], f"external:{item.name}"
        size = f"{item.melanomas} melanomas of {item.images} images"
        if given.min_auc:
            setting = f"min_auc of {item.name} in evaluator.external"
            yield at_least("auc", item.auc.value, given.min_auc, where, size, setting=setting)
        if given.min_sensitivity:
            setting = f"min_sensitivity of {item.name} in evaluator.external"
            yield at_least(
                "sensitivity", item.sensitivity.value, given.min_sensitivity, where, size, setting=setting
            )


def _found(item: SliceMetrics) -> str:
    return f"{item.true_positives} of {item.positives} melanomas found"


def _cleared(item: SliceMetrics) -> str:
    return f"{item.true_negatives} of {item.negatives} other lesions cleared"
