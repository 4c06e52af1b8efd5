"""Folds, the loss's weights and the cutting by masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.segmentation import experiment
from studies.segmentation.classifiers import frequency_weights
from studies.segmentation.experiment import folds


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
