import numpy as np
import pytest

from core.measures.auc import auc_interval
from core.measures.summary import measure


def test_measures_have_intervals_around_their_values_and_are_reproducible():
    random = np.random.default_rng(2)
    labels = (random.uniform(0, 1, 400) < 0.1).astype(np.int64)
    scores = np.clip(0.3 * labels + random.uniform(0, 0.7, 400), 0, 1)
    first = measure(labels, scores, 0.4, samples=200)
    assert first == measure(labels, scores, 0.4, samples=200)
    for name in ("auc", "partial_auc", "sensitivity", "specificity", "brier"):
        interval = getattr(first, name)
        assert interval.low <= interval.value <= interval.high
        assert interval.low < interval.high
    assert first.positives == labels.sum()
    assert first.auc == auc_interval(labels, scores)


def test_rates_of_one_have_an_honest_interval():
    found = measure(np.array([1] * 20 + [0] * 5), np.full(25, 0.9), 0.5, samples=50)
    assert (found.sensitivity.value, found.sensitivity.high) == (1.0, 1.0)
    assert found.sensitivity.low == pytest.approx(0.839, abs=0.001)
    assert found.specificity.high == pytest.approx(0.434, abs=0.001)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="positives and negatives"):
        measure(np.zeros(4, np.int64), np.linspace(0, 1, 4), 0.5)
