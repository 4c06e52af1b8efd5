from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest

from components.trainer.fit.lr_finder import FinderConfig, find


class Bowl:
    """Gradient descent on x^2 / 2 * curvature: it diverges above the rate 2 / curvature."""

    def __init__(self, curvature: float) -> None:
        self.curvature, self.x = curvature, 1.0

    def step(self, rate: float) -> float:
        loss = 0.5 * self.curvature * self.x**2
        self.x -= rate * self.curvature * self.x
        return loss


@pytest.mark.parametrize("curvature", [1.0, 100.0])
def test_the_rates_found_train_and_scale_with_the_problem(curvature: float) -> None:
    curve = find(FinderConfig(lowest=1e-6, highest=100.0, steps=200, smoothing=0.5), Bowl(curvature).step)
    assert curve.diverged
    assert curve.rates[-1] < 100.0
    assert 1e-3 < curve.steepest * curvature < 2.0  # above 2 / curvature nothing is learnt
    assert curve.steepest < curve.rates[curve.smoothed.index(min(curve.smoothed))]
    bowl = Bowl(curvature)
    assert [bowl.step(curve.steepest) for _ in range(400)][-1] < 0.05 * 0.5 * curvature


def test_a_loss_that_never_explodes_uses_the_whole_range() -> None:
    curve = find(FinderConfig(lowest=1e-8, highest=1e-3, steps=20), Bowl(1.0).step)
    assert not curve.diverged
    assert len(curve.rates) == len(curve.losses) == len(curve.smoothed) == 20
    assert curve.rates[0] == pytest.approx(1e-8)
    assert curve.rates[-1] == pytest.approx(1e-3)
    assert set(json.loads(json.dumps(asdict(curve)))) >= {"rates", "smoothed", "steepest", "highest"}


def test_nan_ends_the_test_and_is_not_recorded() -> None:
    losses = iter([1.0, 0.9, 0.8, 0.7, math.nan])
    curve = find(FinderConfig(steps=10), lambda _: next(losses))
    assert curve.diverged
    assert curve.losses == (1.0, 0.9, 0.8, 0.7)


def test_mistakes_say_what_to_change() -> None:
    with pytest.raises(ValueError, match=r"lowest=1.0 must be below highest=0.1: change one of them"):
        find(FinderConfig(lowest=1.0, highest=0.1), lambda _: 1.0)
    with pytest.raises(ValueError, match="not finite at the lowest rate, 1e-07: check the data and loss"):
        find(FinderConfig(), lambda _: math.nan)
