"""Rates with Wilson's interval, and what one threshold decides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.settings import Frozen

Labels = NDArray[np.integer]  # 0 or 1 (melanoma), shape [n]
Scores = NDArray[np.floating]  # probabilities, or anything that is higher for melanoma, shape [n]


class Interval(Frozen):
    """A measured value with its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def normal_quantile(confidence: float) -> float:
    """Return the half-width of a two-sided interval in standard deviations: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(successes: int, total: int, confidence: float = 0.95) -> Interval | None:
    """Return a rate with Wilson's score interval; None where nothing was counted.

    It stays honest where a bootstrap has no width: 74 of 74 found is 0.951 to 1.

    Source: Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
    """
    if total <= 0:
        return None
    z = normal_quantile(confidence)
    rate = successes / total
    centre = (rate + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    # Rounding must not put the value outside its own interval at 0 and 1.
    return Interval(
        value=rate, low=min(rate, max(0.0, centre - half)), high=max(rate, min(1.0, centre + half))
    )


def resamples(labels: Labels, samples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of bootstrap resamples, drawn within each class."""
    random = np.random.default_rng(seed)
    classes = [np.flatnonzero(labels == value) for value in (0, 1)]
    for _ in range(samples):
        yield np.concatenate([random.choice(group, len(group)) for group in classes])


def bounds(drawn: ArrayLike, confidence: float) -> NDArray[np.float64]:
    """Return the lower and the upper quantile of resampled values, along their first axis."""
    tail = (1 - confidence) / 2
    return np.asarray(np.quantile(np.asarray(drawn), [tail, 1 - tail], axis=0), np.float64)


def rate_of(hits: NDArray[np.bool_], confidence: float = 0.95) -> Interval:
    """Return the rate of true entries with Wilson's interval. Raises ValueError if there are no entries."""
    found = wilson(int(hits.sum()), len(hits), confidence)
    if found is None:
        raise ValueError("a rate of nothing: there is no entry to count")
    return found


class Counts(Frozen):
    """What was decided about melanomas and other lesions."""

    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int

    @property
    def positives(self) -> int:
        """Melanomas."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """Other lesions."""
        return self.true_negatives + self.false_positives

    @property
    def total(self) -> int:
        """All lesions."""
        return self.positives + self.negatives

    @property
    def referred(self) -> int:
        """Lesions called melanoma."""
        return self.true_positives + self.false_positives

    @property
    def prevalence(self) -> float:
        """Melanomas by lesions."""
        return self.positives / self.total

    @property
    def sensitivity(self) -> float | None:
        """Melanomas called melanoma, by melanomas; None without any."""
        return self.true_positives / self.positives if self.positives else None

    @property
    def specificity(self) -> float | None:
        """Other lesions cleared, by other lesions; None without any."""
        return self.true_negatives / self.negatives if self.negatives else None

    @property
    def positive_predictive_value(self) -> float | None:
        """Melanomas among the referred; None when nothing is referred."""
        return self.true_positives / self.referred if self.referred else None

    @property
    def negative_predictive_value(self) -> float | None:
        """Other lesions among the cleared; None when nothing is cleared."""
        cleared = self.true_negatives + self.false_negatives
        return self.true_negatives / cleared if cleared else None

    @property
    def missed_per_1000(self) -> float:
        """Missed melanomas in 1,000 lesions like these."""
        return 1000 * self.false_negatives / self.total

    @property
    def false_alarms_per_1000(self) -> float:
        """False alarms in 1,000 lesions like these."""
        return 1000 * self.false_positives / self.total

    @property
    def counts(self) -> dict[str, int]:
        """The four counts by name."""
        return {name: getattr(self, name) for name in Counts.model_fields}

    def sensitivity_interval(self, confidence: float = 0.95) -> Interval | None:
        """Return the sensitivity with Wilson's interval."""
        return wilson(self.true_positives, self.positives, confidence)

    def specificity_interval(self, confidence: float = 0.95) -> Interval | None:
        """Return the specificity with Wilson's interval."""
        return wilson(self.true_negatives, self.negatives, confidence)

    def predictive_value_interval(self, confidence: float = 0.95) -> Interval | None:
        """Return the positive predictive value with Wilson's interval."""
        return wilson(self.true_positives, self.referred, confidence)

    def predictive_values_at(self, prevalence: float) -> tuple[float | None, float | None]:
        """Return positive and negative predictive value where melanomas are this share of all lesions."""
        sensitivity, specificity = self.sensitivity, self.specificity
        if sensitivity is None or specificity is None:
            return None, None
        hit, clear = sensitivity * prevalence, specificity * (1 - prevalence)
        alarm, miss = (1 - specificity) * (1 - prevalence), (1 - sensitivity) * prevalence
        return (
            hit / (hit + alarm) if hit + alarm else None,
            clear / (clear + miss) if clear + miss else None,
        )


class Confusion(Counts):
    """The counts where ``probability >= threshold`` is called melanoma."""

    threshold: float
    role: str = ""


def confusion(labels: Labels, scores: Scores, threshold: float, role: str = "") -> Confusion:
    """Count what one threshold decides; its role is e.g. ``operating point``."""
    called, melanoma = scores >= threshold, labels == 1
    return Confusion(
        threshold=threshold,
        role=role,
        true_positives=int((called & melanoma).sum()),
        false_negatives=int((~called & melanoma).sum()),
        false_positives=int((called & ~melanoma).sum()),
        true_negatives=int((~called & ~melanoma).sum()),
    )


def threshold_table(
    labels: Labels, scores: Scores, thresholds: Iterable[float], named: Iterable[tuple[float, str]]
) -> list[Confusion]:
    """Return what each threshold decides, ascending; ``named`` ones carry their role."""
    rows = [confusion(labels, scores, value, role) for value, role in named]
    taken = [row.threshold for row in rows]
    rows += [
        confusion(labels, scores, value)
        for value in thresholds
        # A round number beside the operating point that says the same twice is left out.
        if all(abs(value - other) > 0.05 * value for other in taken)
    ]
    return sorted(rows, key=lambda row: row.threshold)


def mcnemar(labels: Labels, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Return how many images only the first decisions have right, only the second, and McNemar's exact p-value."""
    right_first, right_second = first == (labels == 1), second == (labels == 1)
    only_first = int((right_first & ~right_second).sum())
    only_second = int((right_second & ~right_first).sum())
    count, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(count, k) for k in range(fewer + 1)) / 2**count
    return only_first, only_second, min(1.0, 2 * tail)
