"""What a model loses when the pictures get worse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from components.trainer.export.robustness import CHANGES, measure
from tests.support import lesions, tiny_trainer


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(3)
    targets = np.array([1] * 6 + [0] * 18)
    images = [lesions.picture(draw, bool(target), (64, 64)) for target in targets]
    return np.stack([np.asarray(image) for image in images]), targets


def darkness(pictures: np.ndarray, _change: str = "") -> np.ndarray:
    """A model that takes dark middles for melanomas."""
    return 1.0 - pictures[:, 24:40, 24:40].mean(axis=(1, 2, 3)) / 255.0


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.name} {change.strength}")
def test_every_change_changes_the_picture_and_keeps_its_form(change):
    # As large as the strengths are meant for: a pixel of 224 is nothing on a thumbnail.
    picture = np.asarray(lesions.picture(np.random.default_rng(2), True, (224, 224)))
    changed = change.apply(picture.copy(), np.random.default_rng(1))
    assert changed.shape == picture.shape
    assert changed.dtype == np.uint8
    assert np.abs(changed.astype(int) - picture).max() > 5


def test_light_moves_the_mean_and_hair_only_darkens(pictures):
    picture = pictures[0][0]
    by_name = {change.name: change.apply(picture, np.random.default_rng(1)) for change in CHANGES}
    assert by_name["darker"].mean() == pytest.approx(picture.mean() * 0.7, abs=1)
    assert by_name["warmer light"][..., 0].mean() > by_name["colder light"][..., 0].mean()
    assert by_name["hair"].mean() < picture.mean()


def test_the_table_says_what_is_lost(pictures):
    shown, targets = pictures
    table = measure(darkness, shown, targets, darkness(shown), threshold=0.55, count=16, seed=5)
    assert (table["images"], table["positives"]) == (16, 6)
    first, *rest = table["rows"]
    assert (first["change"], first["lost"], first["changed"]) == ("as it is", 0.0, 0.0)
    assert [row["change"] for row in rest] == [change.name for change in CHANGES]
    for row in rest:
        assert row["lost"] == pytest.approx(first["auc"] - row["auc"])
    darker = next(row for row in rest if row["change"] == "darker")
    assert darker["sensitivity"] >= first["sensitivity"]
    assert darker["specificity"] <= first["specificity"]
    assert table == measure(darkness, shown, targets, darkness(shown), threshold=0.55, count=16, seed=5)


def test_each_question_says_which_change_it_is_about(pictures):
    shown, targets = pictures
    asked = []

    def answer(changed: np.ndarray, change: str) -> np.ndarray:
        asked.append(change)
        return darkness(changed)

    measure(answer, shown, targets, darkness(shown), threshold=0.55, count=16, seed=5)
    assert asked[:2] == ["blur, sigma 1 px of 224", "blur, sigma 2 px of 224"]
    assert len(set(asked)) == len(CHANGES)


def test_a_training_leaves_the_table_of_its_own_model(scratch: tiny_trainer.Trained):
    table = json.loads((scratch.run / "robustness.json").read_text())
    assert len(table["rows"]) == len(CHANGES) + 1
    assert table["positives"] > 0
    assert any(row["changed"] > 0 for row in table["rows"])
