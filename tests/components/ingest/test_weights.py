from __future__ import annotations

import pytest

from components.ingest.weights import class_weights


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
