import numpy as np
import pytest
from sklearn import metrics as sklearn

from components.evaluator.metrics import roc_auc
from pipeline.report import curves


@pytest.fixture(scope="module")
def answers():
    random = np.random.default_rng(11)
    labels = (random.random(400) < 0.2).astype(np.int64)
    # Two decimals: ties between the classes.
    return labels, np.round(1 / (1 + np.exp(-(random.normal(size=400) + 1.5 * labels - 1))), 2)


def test_the_roc_curve_is_the_one_of_scikit_learn(answers):
    points = curves.roc(*answers)
    alarms, found, _ = sklearn.roc_curve(*answers, drop_intermediate=False)
    theirs = {(round(x, 9), round(y, 9)) for x, y in zip(alarms, found, strict=True)}
    assert {(round(x, 9), round(y, 9)) for x, y in points.tolist()} <= theirs
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(roc_auc(*answers))


def test_the_precision_recall_curve_is_the_one_of_scikit_learn(answers):
    points = curves.precision_recall(*answers)[1:]
    precision, recall, _ = sklearn.precision_recall_curve(*answers)
    assert points == pytest.approx(np.column_stack([recall, precision])[:-1][::-1])
    assert curves.average_precision(*answers) == pytest.approx(sklearn.average_precision_score(*answers))


def test_the_band_holds_the_curve(answers):
    band = curves.roc_band(*answers, confidence=0.95)
    points = curves.roc(*answers)
    middle = points[np.searchsorted(points[:, 0], band[:, 0], side="right") - 1, 1]
    assert (band[:, 1] - 1e-9 <= middle).all()
    assert (middle <= band[:, 2] + 1e-9).all()
    assert (band[10:60, 2] - band[10:60, 1]).min() > 0


def test_a_threshold_row_counts_and_adds_up():
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    scores = np.array([0.9, 0.5, 0.4, 0.1, 0.6, 0.5, 0.3, 0.2, 0.1, 0.0])
    row = curves.threshold_row(labels, scores, 0.5)
    assert (row.true_positives, row.false_positives) == (2, 2)
    assert (row.sensitivity, row.specificity) == (0.5, pytest.approx(4 / 6))
    assert row.positive_predictive_value == 0.5
    assert row.negative_predictive_value == pytest.approx(4 / 6)
    assert (row.missed_per_1000, row.false_alarms_per_1000) == (200, 200)


def test_predictive_values_at_the_split_s_own_prevalence_are_the_counted_ones(answers):
    row = curves.threshold_row(*answers, 0.4)
    positive, negative = row.predictive_values_at(row.positives / (row.positives + row.negatives))
    assert positive == pytest.approx(row.positive_predictive_value)
    assert negative == pytest.approx(row.negative_predictive_value)


def test_nobody_referred_has_no_predictive_value(answers):
    row = curves.threshold_row(*answers, 2.0)
    assert row.positive_predictive_value is None
    assert row.predictive_values_at(0.1)[0] is None


def test_the_table_leaves_out_round_numbers_beside_the_operating_point(answers):
    rows = curves.threshold_table(*answers, [0.1, 0.2, 0.5], [(0.195, "operating point")])
    assert [(row.threshold, row.role) for row in rows] == [(0.1, ""), (0.195, "operating point"), (0.5, "")]


def test_the_histogram_holds_every_lesion_once(answers):
    labels, scores = answers
    scores = np.concatenate([scores[:-2], [0.0, 1.0]])
    edges = np.linspace(-3, 3, 20)
    others, melanoma = curves.log_odds_histogram(labels, scores, edges)
    assert others.sum() == pytest.approx(1)
    assert melanoma.sum() == pytest.approx(1)
