import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as reference_log_loss

from core.measures.calibration import (
    brier,
    calibration_error,
    calibration_line,
    log_loss,
    log_odds,
    reliability,
    squared_gap,
)
from core.measures.summary import measure

DRAW = np.random.default_rng(3)
LABELS = (DRAW.random(400) < 0.2).astype(np.int64)
SCORES = np.round(np.clip(0.3 * LABELS + DRAW.random(400) * 0.7, 0.01, 0.99), 2)


def stated(count: int, scale: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from a probability, and that probability stated with its log-odds scaled and shifted."""
    random = np.random.default_rng(1)
    odds = random.normal(-1, 1.5, count)
    labels = (random.uniform(0, 1, count) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return labels, 1 / (1 + np.exp(-(scale * odds + shift)))


def test_brier_and_log_loss_agree_with_scikit_learn():
    assert brier(LABELS, SCORES) == pytest.approx(brier_score_loss(LABELS, SCORES))
    assert log_loss(LABELS, SCORES) == pytest.approx(reference_log_loss(LABELS, SCORES))


def test_certainty_that_is_wrong_has_a_finite_loss():
    assert np.isfinite(log_loss(np.array([1, 0]), np.array([0.0, 1.0])))
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


def test_calibration_error_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    scores = np.array([0.1] * 4 + [0.9] * 4)
    found = squared_gap(labels, scores, bins=2)
    assert found.plain == pytest.approx(0.15**2)
    assert found.debiased == pytest.approx(0.15**2 - 0.25 * 0.75 / 3)
    assert calibration_error(labels, scores, bins=2) == 0  # four images a bin tell nothing
    many = calibration_error(np.tile(labels, 500), np.tile(scores, 500), bins=2)
    assert many == pytest.approx(0.15, abs=0.001)


def test_a_perfect_model_has_no_error_but_for_chance_and_the_plain_gap_is_chance():
    random = np.random.default_rng(2)
    plain, debiased = [], []
    for _ in range(400):
        scores = random.beta(8, 10, 222)
        gap = squared_gap((random.random(222) < scores).astype(np.int64), scores)
        plain.append(gap.plain)
        debiased.append(gap.debiased)
    assert np.mean(plain) > 0.004
    assert abs(np.mean(debiased)) < 0.0005


def test_the_interval_covers_the_error_as_often_as_it_says():
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(60):
        odds = random.normal(-0.3, 1.5, 222)
        labels = (random.random(222) < 1 / (1 + np.exp(-odds))).astype(np.int64)
        found = measure(labels, 1 / (1 + np.exp(-(odds + 0.7))), 0.5, samples=100).ece
        assert found.low <= found.value <= found.high
        covered += found.low <= 0.130 <= found.high
    assert covered >= 52


def test_perfect_calibration_has_a_small_error_and_overconfidence_a_large_one():
    random = np.random.default_rng(1)
    scores = random.uniform(0, 1, 20_000)
    labels = (random.uniform(0, 1, 20_000) < scores).astype(np.int64)
    assert calibration_error(labels, scores) < 0.02
    assert calibration_error(labels, np.round(scores)) > 0.2


def test_reliability_bins_hold_every_image_once():
    rows = reliability(np.array([0, 1, 0, 1, 1]), np.linspace(0, 1, 5), bins=3)
    assert rows[:, 2].sum() == 5
    assert (np.diff(rows[:, 0]) > 0).all()
    assert reliability(np.zeros(0, np.int64), np.zeros(0)).shape == (0, 3)


def test_a_bin_holds_enough_images_for_its_share_to_mean_something():
    random = np.random.default_rng(5)
    assert len(reliability(np.zeros(898, np.int64), random.random(898))) == 15
    assert len(reliability(np.zeros(223, np.int64), random.random(223))) == 5
    assert len(reliability(np.zeros(20, np.int64), random.random(20))) == 1


def test_the_order_of_images_with_equal_probabilities_does_not_matter():
    order = np.random.default_rng(4).permutation(len(LABELS))
    coarse = np.round(SCORES, 1)
    assert calibration_error(LABELS, coarse) == pytest.approx(calibration_error(LABELS[order], coarse[order]))
    assert len(reliability(LABELS, np.full(400, 0.2))) == 1


def test_a_calibrated_model_lies_on_the_line():
    line = calibration_line(*stated(4000))
    assert line.slope.low < 1 < line.slope.high
    assert line.intercept.low < 0 < line.intercept.high


def test_too_extreme_statements_have_a_slope_below_one_and_too_low_ones_an_intercept_above_zero():
    assert calibration_line(*stated(4000, scale=2.0)).slope.value == pytest.approx(0.5, abs=0.05)
    assert calibration_line(*stated(4000, shift=-1.0)).intercept.value == pytest.approx(1.0, abs=0.1)


def test_the_slope_is_the_one_of_scikit_learn():
    labels, scores = stated(500, scale=1.4, shift=0.3)
    fitted = LogisticRegression(C=np.inf, tol=1e-9).fit(log_odds(scores)[:, None], labels)
    assert calibration_line(labels, scores).slope.value == pytest.approx(fitted.coef_[0, 0], abs=1e-4)


@pytest.mark.parametrize(
    "scores",
    [np.full(8, 0.3), np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9])],
    ids=["one value", "separable"],
)
def test_what_cannot_be_fitted_has_no_slope(scores):
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert calibration_line(labels, scores).slope is None
    assert calibration_line(labels, scores).intercept is not None


def test_one_class_has_no_line():
    assert calibration_line(np.zeros(5, np.int64), np.linspace(0.1, 0.5, 5)) == (None, None)
