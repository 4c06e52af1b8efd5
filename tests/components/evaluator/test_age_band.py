import math

import pytest

from components.evaluator.age_band import age_band


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (None, "unknown"),
        (math.nan, "unknown"),
        (0, "under 30"),
        (29.9, "under 30"),
        (30, "30-44"),
        (44, "30-44"),
        (45, "45-59"),
        (60, "60-74"),
        (75, "75 and over"),
        (99, "75 and over"),
    ],
)
def test_every_age_has_one_band(age, band):
    assert age_band(age) == band
