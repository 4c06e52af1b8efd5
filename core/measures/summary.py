"""What is said first of a model on a set of images: one function, so that every page says the same."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from core.measures.auc import auc_interval, partial_auc
from core.measures.calibration import CALIBRATION_METHOD, brier, calibration_interval, squared_gap
from core.measures.rates import Interval, Labels, Scores, bounds, rate_of, resamples
from core.settings import Frozen


class Measures(Frozen):
    """Measures of a model on a set of images that holds both classes."""

    images: int
    positives: int
    threshold: float
    auc: Interval = Field(description="DeLong's interval on the logit scale")
    partial_auc: Interval = Field(
        description="area under the ROC curve above 80 % sensitivity, 0 to 0.2, bootstrap interval"
    )
    sensitivity: Interval = Field(description="at the threshold, Wilson's interval")
    specificity: Interval = Field(description="at the threshold, Wilson's interval")
    ece: Interval = Field(description=f"{CALIBRATION_METHOD}; bootstrap interval")
    brier: Interval = Field(description="mean squared error of the probability, bootstrap interval")


def measure(
    labels: Labels,
    scores: Scores,
    threshold: float,
    *,
    samples: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
) -> Measures:
    """Measure a model's probabilities of images of both classes; positive is ``score >= threshold``.

    The intervals of partial AUC, calibration error and Brier score come from that number of bootstrap samples. Raises
    ValueError for a single class.
    """
    called = scores >= threshold
    return Measures(
        images=len(labels),
        positives=int((labels == 1).sum()),
        threshold=threshold,
        auc=auc_interval(labels, scores, confidence),
        sensitivity=rate_of(called[labels == 1], confidence),
        specificity=rate_of(~called[labels == 0], confidence),
        ece=_calibration_error(labels, scores, samples, confidence, seed),
        **_bootstrap(labels, scores, samples, confidence, seed),
    )


def _calibration_error(
    labels: Labels, scores: Scores, samples: int, confidence: float, seed: int
) -> Interval:
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(samples):
        index = random.integers(0, len(labels), len(labels))
        drawn.append(squared_gap(labels[index], scores[index]).debiased)
    low, high = bounds(drawn, confidence)
    return calibration_interval(squared_gap(labels, scores), float(low), float(high))


def _bootstrap(
    labels: Labels, scores: Scores, samples: int, confidence: float, seed: int
) -> dict[str, Interval]:
    """Return partial AUC and Brier score with quantiles of a resampling within each class."""
    functions = {"brier": brier, "partial_auc": partial_auc}
    drawn = [
        [function(labels[index], scores[index]) for function in functions.values()]
        for index in resamples(labels, samples, seed)
    ]
    ends = bounds(drawn, confidence)
    return {
        name: Interval(value=function(labels, scores), low=float(low), high=float(high))
        for (name, function), low, high in zip(functions.items(), *ends, strict=True)
    }
