import numpy as np
import pytest
from sklearn import metrics as sklearn

from core.measures import curves
from core.measures.auc import auc


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
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(auc(*answers))


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


def test_the_band_of_precision_holds_the_curve(answers):
    band = curves.precision_recall_band(*answers, confidence=0.95)
    points = curves.precision_recall(*answers)
    at = np.minimum(np.searchsorted(points[:, 0], band[:, 0] - 1e-12, "left"), len(points) - 1)
    inside = (band[5:, 1] - 1e-9 <= points[at[5:], 1]) & (points[at[5:], 1] <= band[5:, 2] + 1e-9)
    assert inside.mean() > 0.95


def test_the_histogram_holds_every_lesion_once(answers):
    labels, scores = answers
    scores = np.concatenate([scores[:-2], [0.0, 1.0]])
    edges = np.linspace(-3, 3, 20)
    others, melanoma = curves.log_odds_histogram(labels, scores, edges)
    assert others.sum() == pytest.approx(1)
    assert melanoma.sum() == pytest.approx(1)
