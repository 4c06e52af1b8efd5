from __future__ import annotations

import math

import pytest

from core.features import age_band, class_weights


def test_isic_2020_and_2019_together() -> None:
    negative, positive = class_weights(57_224 - 4_922, 4_922)
    assert round(negative, 2) == 0.55
    assert round(positive, 2) == 5.81


def test_both_classes_weigh_the_same() -> None:
    negative, positive = class_weights(900, 100)
    assert negative * 900 == pytest.approx(positive * 100) == pytest.approx(500)


@pytest.mark.parametrize("counts", [(0, 5), (5, 0)])
def test_an_empty_class_has_no_weight(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="both classes need at least one image"):
        class_weights(*counts)


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
def test_every_age_has_one_band(age: float | None, band: str) -> None:
    assert age_band(age) == band
