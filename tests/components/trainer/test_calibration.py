"""Calibration: recovers a known distortion, keeps the ranks, says the same in numpy and in the graph."""

from __future__ import annotations

import numpy as np
import pytest

from components.trainer.export import calibration
from core.measures.auc import auc
from core.measures.calibration import calibration_error, log_loss

DRAW = np.random.default_rng(5)
LOGITS = DRAW.normal(-2.0, 1.5, 4000)
TARGETS = (DRAW.random(4000) < 1 / (1 + np.exp(-LOGITS))).astype(np.int64)


def distorted(scale: float, shift: float) -> np.ndarray:
    return (1 / (1 + np.exp(-(LOGITS * scale + shift)))).astype(np.float32)


def test_temperature_finds_the_overconfidence() -> None:
    fitted = calibration.fit("temperature", TARGETS, distorted(2.5, 0.0))
    assert fitted.as_dict()["temperature"] == pytest.approx(2.5, rel=0.08)


def test_platt_finds_scale_and_shift() -> None:
    fitted = calibration.fit("platt", TARGETS, distorted(2.0, 3.0))
    assert fitted.scale == pytest.approx(0.5, rel=0.1)
    assert fitted.shift == pytest.approx(-1.5, rel=0.1)


@pytest.mark.parametrize("kind", ["temperature", "platt", "isotonic", "auto"])
def test_calibration_lowers_the_loss_and_keeps_the_ranks(kind: str) -> None:
    before = distorted(3.0, 0.0 if kind == "temperature" else 2.0)
    after = calibration.apply(calibration.fit(kind, TARGETS, before), before)
    assert log_loss(TARGETS, after) < log_loss(TARGETS, before)
    assert calibration_error(TARGETS, after) < 0.03
    assert auc(TARGETS, after) == pytest.approx(auc(TARGETS, before), abs=2e-3)


def test_auto_takes_temperature_where_positives_are_few() -> None:
    few = np.r_[np.flatnonzero(TARGETS == 0)[:50], np.flatnonzero(TARGETS == 1)[:5]]
    assert calibration.fit("auto", TARGETS[few], distorted(2.0, 1.0)[few]).kind == "temperature"


def test_isotonic_stays_inside_and_rises() -> None:
    fitted = calibration.fit("isotonic", TARGETS, distorted(1.0, 0.0))
    grid = np.linspace(0.0, 1.0, 501, dtype=np.float32)
    values = calibration.apply(fitted, grid)
    assert (np.diff(values) >= 0).all()
    assert values[0] > 0
    assert values[-1] < 1


def test_isotonic_keeps_the_order_where_eval_had_one_label_only() -> None:
    values = np.linspace(0.0, 1.0, 200, dtype=np.float32)
    targets = (np.arange(200) > 120).astype(np.int64)
    seen = calibration.apply(calibration.fit("isotonic", targets, values), values)
    assert (np.diff(seen) > 0).all()


def test_none_changes_nothing() -> None:
    values = distorted(1.0, 0.0)
    np.testing.assert_array_equal(calibration.apply(calibration.fit("none", TARGETS, values), values), values)
