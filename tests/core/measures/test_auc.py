"""AUC, its interval and the paired test against what they are known to give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from core.measures.auc import auc, auc_interval, compare, compare_unpaired, newcombe, partial_auc


def made(count: int, strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = (np.arange(count) % 3 == 0).astype(np.int64)
    return labels, labels * strength + draw.normal(size=count)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=4, max_size=60).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_the_area_agrees_with_scikit_learn_ties_included(rows):
    labels = np.array([label for label, _ in rows])
    scores = np.array([score / 8 for _, score in rows])
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    found = auc_interval(labels, scores)
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def isic_2024(labels: np.ndarray, scores: np.ndarray, from_sensitivity: float) -> float:
    """The challenge's own way: classes and scores turned round, sensitivity becomes specificity."""
    most = 1 - from_sensitivity
    scaled = roc_auc_score(1 - labels, -scores, max_fpr=most)
    least = 0.5 * most**2  # McClish: sklearn maps chance to 0.5 and perfection to 1
    return least + (scaled - 0.5) / 0.5 * (most - least)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=4, max_size=60).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    ),
    st.sampled_from([0.5, 0.8, 0.9]),
)
def test_the_partial_area_is_that_of_the_isic_2024_challenge(rows, from_sensitivity):
    labels = np.array([label for label, _ in rows])
    scores = np.array([score / 8 for _, score in rows])
    expected = isic_2024(labels, scores, from_sensitivity)
    assert partial_auc(labels, scores, from_sensitivity) == pytest.approx(expected, abs=1e-12)


def test_the_partial_area_runs_from_nothing_to_the_share_above_the_sensitivity():
    labels = np.array([0] * 5 + [1] * 5)
    assert partial_auc(labels, np.arange(10.0)) == pytest.approx(0.2)
    assert partial_auc(labels, -np.arange(10.0)) == 0.0
    assert partial_auc(labels, np.zeros(10)) == pytest.approx(0.02)
    assert partial_auc(labels, np.arange(10.0), 0.0) == pytest.approx(auc(labels, np.arange(10.0)))


@pytest.mark.parametrize("function", [auc, auc_interval, partial_auc])
def test_one_class_has_no_area(function):
    with pytest.raises(ValueError, match="positives and negatives"):
        function(np.zeros(3, np.int64), np.zeros(3))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    truth = 0.7602  # of two normals one deviation apart: Phi(1 / sqrt 2)
    found = [auc_interval(*made(120, 1.0, seed)) for seed in range(300)]
    inside = sum(one.low <= truth <= one.high for one in found)
    assert 0.91 <= inside / 300 <= 0.98


def test_the_interval_covers_with_fifteen_melanomas():
    random = np.random.default_rng(5)
    labels = np.repeat([1, 0], [15, 60])
    true = 0.8315  # Phi(1.358 / sqrt 2), two normal distributions 1.358 apart
    inside = 0
    for _ in range(400):
        found = auc_interval(labels, random.normal(size=75) + 1.358 * labels)
        inside += found.low <= true <= found.high
    assert 0.92 <= inside / 400 <= 0.98


def test_a_wider_confidence_gives_a_wider_interval():
    narrow, wide = (auc_interval(*made(90, 1.0), confidence) for confidence in (0.8, 0.99))
    assert wide.high - wide.low > narrow.high - narrow.low


def test_a_perfect_ranking_of_few_is_not_certain():
    labels = np.repeat([1, 0], [5, 20])
    found = auc_interval(labels, labels.astype(float))
    assert found.high == pytest.approx(1.0)
    assert 0.6 < found.low < 0.95
    assert found == newcombe(1.0, 5, 20)


def test_one_melanoma_has_an_interval():
    found = auc_interval(np.array([1, 0, 0, 0]), np.array([0.5, 0.1, 0.2, 0.9]))
    assert found.value == pytest.approx(2 / 3)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("area", [0.0, 0.5, 0.72, 0.95])
def test_newcombe_s_interval_holds_the_area_and_mirrors_it(area):
    found, other = newcombe(area, 12, 80), newcombe(1 - area, 12, 80)
    assert 0 <= found.low <= area <= found.high <= 1
    assert found.low == pytest.approx(1 - other.high, abs=1e-9)


def test_equal_answers_do_not_differ():
    labels, values = made(60, 1.0)
    assert compare(labels, values, values) == (0.0, 0.0, 0.0, 1.0)


def test_under_the_null_p_is_below_a_twentieth_as_often_as_it_says():
    below = 0
    for seed in range(300):
        labels, first = made(120, 1.0, seed)
        second = labels + np.random.default_rng(seed + 1000).normal(size=120)
        below += compare(labels, first, second).p < 0.05
    assert 0.02 <= below / 300 <= 0.085


def test_a_better_classifier_is_told_from_a_worse_one():
    labels, noise = made(300, 0.0)
    found = compare(labels, labels + noise, labels * 3 + noise)
    assert found.difference > 0
    assert found.low > 0
    assert found.p < 0.001


def test_two_sets_of_images_are_compared_without_pairing():
    found = compare_unpaired(made(300, 2.0, 1), made(300, 0.2, 2))
    assert found.difference < 0
    assert found.high < 0
    paired = compare(*made(300, 2.0, 1), made(300, 2.0, 1)[1])
    again = compare_unpaired(made(300, 2.0, 1), made(300, 2.0, 1))
    assert (paired.difference, again.difference) == (0.0, 0.0)
    assert again.high > 0.02
