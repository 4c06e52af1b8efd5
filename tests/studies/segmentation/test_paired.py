"""Paired tests against what they are known to give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluator.metrics import roc_auc
from studies.segmentation import experiment, paired
from studies.segmentation.classifiers import frequency_weights
from studies.segmentation.folds import folds


def made(count: int, strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = (np.arange(count) % 3 == 0).astype(np.int64)
    return labels, labels * strength + draw.normal(size=count)


def test_the_area_is_the_evaluator_s():
    labels, values = made(90, 1.0)
    assert paired.area(labels, values)[0] == pytest.approx(roc_auc(labels, values))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    truth = 0.7602  # of two normals one deviation apart: Phi(1 / sqrt 2)
    inside = sum(
        low <= truth <= high for low, high in (paired.area(*made(120, 1.0, seed))[1:] for seed in range(300))
    )
    assert 0.91 <= inside / 300 <= 0.98


def test_equal_answers_do_not_differ():
    labels, values = made(60, 1.0)
    assert paired.delong(labels, values, values) == (0.0, 0.0, 0.0, 1.0)


def test_under_the_null_p_is_below_a_twentieth_as_often_as_it_says():
    below = 0
    for seed in range(300):
        labels, first = made(120, 1.0, seed)
        second = labels + np.random.default_rng(seed + 1000).normal(size=120)
        below += paired.delong(labels, first, second).p < 0.05
    assert 0.02 <= below / 300 <= 0.085


def test_a_better_classifier_is_told_from_a_worse_one():
    labels, noise = made(300, 0.0)
    found = paired.delong(labels, labels + noise, labels * 3 + noise)
    assert found.difference > 0
    assert found.low > 0
    assert found.p < 0.001


def test_mcnemar_counts_what_only_one_has_right():
    labels = np.array([1, 1, 0, 0, 1, 0])
    first = np.array([True, True, False, False, True, False])
    second = np.array([False, False, False, True, True, False])
    assert paired.mcnemar(labels, first, second) == (3, 0, pytest.approx(0.25))


@settings(max_examples=25, deadline=None)
@given(st.integers(12, 60), st.integers(2, 4), st.integers(0, 100))
def test_every_row_is_held_out_once_and_labels_are_spread(count, number, seed):
    targets = (np.arange(count) % 3 == 0).astype(np.int64)
    made_folds = folds(targets, number, seed)
    held = np.concatenate([rows for _, rows in made_folds])
    assert sorted(held) == list(range(count))
    for rows, held_out in made_folds:
        assert not set(rows) & set(held_out)
    positives = [targets[held_out].sum() for _, held_out in made_folds]
    assert max(positives) - min(positives) <= 1


def test_too_few_of_a_label_are_refused():
    with pytest.raises(ValueError, match="there are 1 of label 1"):
        folds(np.array([0, 0, 0, 1]), 2, 0)


def test_the_loss_is_weighted_by_one_minus_the_frequency():
    assert frequency_weights(np.array([0, 0, 0, 1])) == {0: 0.25, 1: 0.75}


def test_cutting_leaves_the_lesion_and_nothing_else():
    pictures = np.full((2, 4, 4, 3), 200, np.uint8)
    masks = np.zeros((2, 4, 4), bool)
    masks[:, 1:3, 1:3] = True
    found = experiment.cut(pictures, masks)
    assert (found[masks] == 200).all()
    assert (found[~masks] == 0).all()
