import numpy as np
import pytest

from components.evaluator.metrics import roc_auc
from pipeline.report import intervals

Z = 1.959964


def test_a_share_of_all_is_not_certain():
    found = intervals.share(10, 10, 0.95)
    assert found is not None
    assert found.value == 1.0
    assert found.high == pytest.approx(1.0)
    # Wilson's interval of 10 of 10 (Wilson, 1927).
    assert found.low == pytest.approx(0.7225, abs=1e-4)


def test_nothing_to_count_has_no_share():
    assert intervals.share(0, 0, 0.95) is None


def test_a_perfect_auc_of_a_small_slice_is_not_certain():
    found = intervals.roc_area(1.0, 5, 20, Z)
    assert found.high == pytest.approx(1.0)
    assert 0.6 < found.low < 0.95


@pytest.mark.parametrize("area", [0.0, 0.5, 0.72, 0.95])
def test_the_interval_holds_the_area_and_mirrors_it(area):
    found = intervals.roc_area(area, 12, 80, Z)
    other = intervals.roc_area(1 - area, 12, 80, Z)
    assert 0 <= found.low <= area <= found.high <= 1
    assert found.low == pytest.approx(1 - other.high, abs=1e-9)


def test_the_interval_covers_the_true_area_as_often_as_it_says():
    random = np.random.default_rng(5)
    labels = np.repeat([1, 0], [15, 60])
    true = 0.8315  # Phi(1.358 / sqrt 2), two normal distributions 1.358 apart
    inside = 0
    for _ in range(400):
        scores = random.normal(size=75) + 1.358 * labels
        found = intervals.roc_area(roc_auc(labels, scores), 15, 60, Z)
        inside += found.low <= true <= found.high
    assert 0.92 <= inside / 400 <= 0.98
