import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from components.evaluator import metrics


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=4, max_size=60).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_auc_and_brier_agree_with_scikit_learn_ties_included(rows):
    labels = np.array([label for label, _ in rows])
    scores = np.array([score / 8 for _, score in rows])
    assert metrics.roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert metrics.brier(labels, scores) == pytest.approx(brier_score_loss(labels, scores))


def test_auc_of_one_class_is_not_a_number():
    assert np.isnan(metrics.roc_auc(np.ones(3, dtype=np.int64), np.array([0.1, 0.2, 0.3])))


def test_perfect_calibration_has_a_small_error_and_overconfidence_a_large_one():
    random = np.random.default_rng(1)
    scores = random.uniform(0, 1, 20_000)
    labels = (random.uniform(0, 1, 20_000) < scores).astype(np.int64)
    assert metrics.expected_calibration_error(labels, scores) < 0.02
    assert metrics.expected_calibration_error(labels, np.round(scores)) > 0.2


def test_reliability_bins_hold_every_image_once():
    rows = metrics.reliability(np.array([0, 1, 0, 1, 1]), np.linspace(0, 1, 5), bins=3)
    assert rows[:, 2].sum() == 5
    assert (np.diff(rows[:, 0]) > 0).all()


def test_measures_have_intervals_around_their_values_and_are_reproducible():
    random = np.random.default_rng(2)
    labels = (random.uniform(0, 1, 400) < 0.1).astype(np.int64)
    scores = np.clip(0.3 * labels + random.uniform(0, 0.7, 400), 0, 1)
    first = metrics.measure(labels, scores, 0.4, samples=200, confidence=0.95)
    assert first == metrics.measure(labels, scores, 0.4, samples=200, confidence=0.95)
    for name in ("auc", "sensitivity", "specificity", "brier"):
        interval = getattr(first, name)
        assert interval.low <= interval.value <= interval.high
        assert interval.low < interval.high
    assert first.positives == labels.sum()


def test_shares_of_one_have_an_honest_interval_and_shares_of_nothing_none():
    found = metrics.measure(np.array([1] * 20 + [0] * 5), np.full(25, 0.9), 0.5, samples=50, confidence=0.95)
    assert (found.sensitivity.value, found.sensitivity.high) == (1.0, 1.0)
    assert found.sensitivity.low == pytest.approx(0.839, abs=0.001)
    assert found.specificity.high == pytest.approx(0.434, abs=0.001)
    nothing = metrics.share(0, 0)
    assert np.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


def test_a_wider_confidence_gives_a_wider_interval():
    labels = np.array([0, 1] * 50)
    scores = np.random.default_rng(3).uniform(0, 1, 100) + 0.3 * labels
    narrow = metrics.measure(labels, scores, 0.5, samples=300, confidence=0.8).auc
    wide = metrics.measure(labels, scores, 0.5, samples=300, confidence=0.99).auc
    assert wide.high - wide.low > narrow.high - narrow.low
