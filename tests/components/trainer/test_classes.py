"""Classes of the head, their encoding and their weights."""

from __future__ import annotations

import numpy as np
import pytest

from components.trainer.model.classes import choose, class_weights, encode
from components.trainer.settings import HeadConfig, LossConfig

DIAGNOSES = ["nv"] * 30 + ["bkl"] * 12 + ["df"] * 3 + [""] * 2 + ["mel"] * 11
TARGETS = np.array([0] * 47 + [1] * 11)


def test_rare_and_unknown_diagnoses_become_other() -> None:
    classes = choose(HeadConfig(), TARGETS, DIAGNOSES)
    assert classes.names == ("bkl", "nv", "mel", "other negative")
    assert classes.positive == (0.0, 0.0, 1.0, 0.0)
    assert classes.names[classes.commonest] == "nv"
    labels = encode(classes, TARGETS, DIAGNOSES)
    assert np.bincount(labels).tolist() == [12, 30, 11, 5]


def test_images_without_a_diagnosis_can_be_the_commonest_class() -> None:
    classes = choose(HeadConfig(), np.array([0] * 70 + [1] * 11), [*["nv"] * 30, *[""] * 40, *["mel"] * 11])
    assert classes.names[classes.commonest] == "other negative"


def test_the_label_decides_where_a_diagnosis_contradicts_it() -> None:
    classes = choose(HeadConfig(), TARGETS, DIAGNOSES)
    labels = encode(classes, np.array([1, 0]), ["nv", "mel"])
    assert [classes.positive[label] for label in labels] == [1.0, 0.0]


def test_a_diagnosis_with_both_labels_is_no_class() -> None:
    classes = choose(HeadConfig(min_class_count=1), np.array([0, 1, 0, 1]), ["nv", "nv", "bkl", "mel"])
    assert "nv" not in classes.names
    assert {"other negative", "other positive"} <= set(classes.names)


@pytest.mark.parametrize("diagnoses", [[""] * 58, DIAGNOSES])
def test_without_diagnoses_or_by_wish_the_head_is_binary(diagnoses: list[str]) -> None:
    head = HeadConfig(kind="diagnosis" if not any(diagnoses) else "binary")
    classes = choose(head, TARGETS, diagnoses)
    assert classes.names == ("negative", "positive")
    np.testing.assert_array_equal(encode(classes, TARGETS, diagnoses), TARGETS)


def test_weights_follow_their_formulas_and_average_to_one() -> None:
    labels = np.array([0] * 90 + [1] * 10, np.int32)
    for kind, ratio in (("none", 1.0), ("balanced", 9.0), ("frequency", 9.0), ("power", 3.0)):
        weights = class_weights(LossConfig(class_weights=kind), labels, 2, None)
        assert weights[1] / weights[0] == pytest.approx(ratio, rel=1e-5)
        assert weights[labels].mean() == pytest.approx(1.0, rel=1e-5)


def test_the_gates_weights_replace_the_balanced_formula() -> None:
    labels = np.array([0] * 90 + [1] * 10, np.int32)
    weights = class_weights(LossConfig(class_weights="balanced"), labels, 2, {0: 0.55, 1: 5.81})
    assert weights[1] / weights[0] == pytest.approx(5.81 / 0.55, rel=1e-5)
