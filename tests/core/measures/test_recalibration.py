import numpy as np
import pytest

from core.measures.auc import auc
from core.measures.calibration import calibration_error, calibration_line, log_odds
from core.measures.recalibration import Recalibration, fit, half_width, needed


def stated(count: int, scale: float, shift: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    odds = random.normal(-0.5, 1.5, count)
    labels = (random.uniform(0, 1, count) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return labels, 1 / (1 + np.exp(-((odds - shift) / scale)))


def test_a_line_undoes_what_another_camera_does_and_keeps_the_ranks():
    labels, scores = stated(4000, 0.5, 2.0)
    assert calibration_error(labels, scores) > 0.2
    found = fit(labels, scores)
    assert found.kind == "line"
    assert (found.scale, found.shift) == (pytest.approx(0.5, abs=0.05), pytest.approx(2.0, abs=0.15))
    assert calibration_error(labels, found(scores)) < 0.03
    line = calibration_line(labels, found(scores))
    assert line.slope.value == pytest.approx(1, abs=1e-4)
    assert line.intercept.value == pytest.approx(0, abs=1e-4)
    assert auc(labels, found(scores)) == pytest.approx(auc(labels, scores))


def test_with_few_melanomas_only_the_prior_is_shifted():
    labels, scores = stated(4000, 1.0, 2.0)
    few = np.concatenate([np.flatnonzero(labels == 1)[:12], np.flatnonzero(labels == 0)[:20]])
    found = fit(labels[few], scores[few])
    assert (found.kind, found.scale) == ("shift", 1.0)
    assert found(scores[few]).mean() == pytest.approx(labels[few].mean())


def test_ranks_that_are_turned_around_are_not_turned_back():
    labels, scores = stated(400, 1.0, 0.0)
    found = fit(labels, 1 - scores)
    assert (found.kind, found.scale) == ("shift", 1.0)


def test_too_few_are_a_sentence_that_says_how_many_it_takes():
    with pytest.raises(
        ValueError, match=r"4 melanomas and 30 others .* at least 5 of each .* 20 for a calibration"
    ):
        fit(np.array([1] * 4 + [0] * 30), np.linspace(0.1, 0.9, 34))


def test_the_map_is_of_the_log_odds():
    found = Recalibration("line", 0.7, -0.3)(np.array([0.1, 0.5, 0.9]))
    assert log_odds(found) == pytest.approx(0.7 * log_odds(np.array([0.1, 0.5, 0.9])) - 0.3)


def test_how_well_a_sensitivity_is_known_and_what_it_takes():
    # 14 melanomas at 0.86: Wilson's interval is 0.60 to 0.96.
    assert half_width(12 / 14, 14) == pytest.approx(0.18, abs=0.005)
    count = needed(0.9, 0.05)
    assert half_width(0.9, count) <= 0.05 < half_width(0.9, count // 2)
