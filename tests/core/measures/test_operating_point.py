"""The threshold, the zones and their consistency."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.measures.operating_point import ZonesConfig, choose, zone_names, zone_table, zones


def test_the_threshold_gives_the_wanted_sensitivity_at_the_highest_specificity() -> None:
    targets = np.array([1] * 10 + [0] * 10)
    values = np.r_[np.linspace(0.9, 0.1, 10), np.linspace(0.05, 0.5, 10)].astype(np.float32)
    point = choose(targets, values, 0.9)
    assert point.sensitivity == pytest.approx(0.9)
    assert point.specificity == pytest.approx(0.3)
    assert 0.15 < point.threshold <= values[8]
    low, high = point.sensitivity_interval
    assert low < 0.9 < high


@given(st.integers(0, 10_000), st.floats(0.5, 0.99))
@settings(max_examples=40, deadline=None)
def test_no_threshold_does_better(seed: int, sensitivity: float) -> None:
    draw = np.random.default_rng(seed)
    targets = np.r_[1, 0, (draw.random(60) < 0.3).astype(int)]
    values = np.round(draw.random(62), 2).astype(np.float32)
    point = choose(targets, values, sensitivity)
    assert point.sensitivity >= sensitivity - 1e-9
    for other in np.unique(values):
        called = values >= other
        if called[targets == 1].mean() >= sensitivity:
            assert (~called)[targets == 0].mean() <= point.specificity + 1e-9


def test_zone_limits_are_where_the_cheapest_advice_changes() -> None:
    costs = ZonesConfig(missed_melanoma=40, reviewed_melanoma=4, reviewed_benign=0.3, referred_benign=1)
    limits = zones(costs, threshold=0.05)

    def cost(p: float) -> dict[str, float]:
        return {"low": 40 * p, "review": 4 * p + 0.3 * (1 - p), "refer": 1 - p}

    for p in (0.001, 0.0082, 0.0084, 0.1, 0.148, 0.150, 0.9):
        costs_here = cost(p)
        assert zone_names(limits, np.array([p])) == [min(costs_here, key=costs_here.__getitem__)]


def test_where_review_never_pays_nothing_called_positive_is_reviewed() -> None:
    costs = ZonesConfig(missed_melanoma=40, reviewed_melanoma=39, reviewed_benign=0.5, referred_benign=1)
    assert zone_names(zones(costs, threshold=0.05), np.array([0.04, 0.2])) == ["low", "refer"]


@pytest.mark.parametrize("threshold", [0.001, 0.05, 0.6])
def test_zones_never_contradict_the_decision(threshold: float) -> None:
    limits = zones(ZonesConfig(), threshold)
    grid = np.linspace(0.0, 1.0, 1001)
    for p, name in zip(grid, zone_names(limits, grid), strict=True):
        assert name != ("low" if p >= threshold else "refer")


def test_the_zone_table_counts_everything() -> None:
    values = np.linspace(0, 1, 50)
    table = zone_table(zones(ZonesConfig(), 0.1), (values > 0.5).astype(int), values)
    assert sum(row["images"] for row in table) == 50
    assert sum(row["positives"] for row in table) == 25
