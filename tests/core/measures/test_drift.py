import numpy as np
import pytest

from core.measures.drift import kolmogorov_smirnov, population_stability_index


def test_the_stability_index_of_equal_shares_is_near_nothing_however_few_were_seen():
    same = np.array([10.0, 20, 30, 40])
    assert population_stability_index(same, same * 3) == pytest.approx(0, abs=1e-3)
    assert population_stability_index(same, same[::-1]) > 0.25
    assert population_stability_index(same, np.zeros(4)) is None


def test_two_steps_apart_the_distance_is_whole():
    same = np.array([10.0, 20, 30, 40])
    assert kolmogorov_smirnov(same, same)[1] == 1.0
    distance, p = kolmogorov_smirnov(np.array([100.0, 0]), np.array([0, 100.0]))
    assert (distance, p) == (1.0, pytest.approx(0, abs=1e-6))
    assert kolmogorov_smirnov(np.zeros(2), np.ones(2)) is None
