"""A version that was trained on other data may know this test split: it is refused, or said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.trainer.config import TrainerConfig
from components.trainer.fit import parent_models
from components.trainer.model.backbones.backbone import WeightsFileError


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A pushed version that says it was trained on data version d1."""
    extra = tmp_path / "7" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "model.weights.h5").touch()
    (extra / "melanosizer.json").write_text(json.dumps({"data_version": "d1"}))
    return tmp_path / "7"


def building_on(key: str, version: Path, **more: object) -> TrainerConfig:
    return TrainerConfig.model_validate({"strategy": "fine_tune", key: f"pushed:{version}", **more})


@pytest.mark.parametrize("key", ["weights", "distil_from"])
def test_a_version_of_the_same_data_needs_no_word(key: str, version: Path) -> None:
    assert parent_models.check(building_on(key, version), "d1") == ()
    # Data that grew from those the version was trained on test on nothing that it has seen.
    assert parent_models.check(building_on(key, version), "d2", ["d0", "d1"]) == ()


@pytest.mark.parametrize("key", ["weights", "distil_from"])
def test_a_version_of_other_data_is_refused_unless_it_is_said_that_it_cannot_know_the_test_split(
    key: str, version: Path
) -> None:
    wanted = (
        rf"{key}=pushed:.*/7 was trained on data version d1, this is d2: .*trainer\.allow_other_data=true"
    )
    with pytest.raises(parent_models.DataError, match=wanted):
        parent_models.check(building_on(key, version), "d2")
    (said,) = parent_models.check(building_on(key, version, allow_other_data=True), "d2")
    assert "was trained on data version d1, this is d2; allow_other_data" in said


def test_a_member_s_version_is_that_of_its_folder(version: Path) -> None:
    config = TrainerConfig(strategy="fine_tune", weights=f"pushed:{version}#member=0")
    assert parent_models.check(config, "d1") == ()
    with pytest.raises(parent_models.DataError):
        parent_models.check(config, "d2")


@pytest.mark.parametrize("weights", ["imagenet", "none", "weights.h5"])
def test_what_is_no_version_has_seen_no_data_of_ours(weights: str) -> None:
    assert parent_models.check(TrainerConfig(weights=weights), "d2") == ()


@pytest.mark.parametrize("facts", [None, "{}", "no json"])
def test_a_version_that_does_not_say_what_it_was_trained_on_is_refused(
    facts: str | None, version: Path
) -> None:
    path = version / "assets.extra" / "melanosizer.json"
    path.unlink()
    if facts is not None:
        path.write_text(facts)
    with pytest.raises(WeightsFileError, match="does not say which data it was trained on"):
        parent_models.check(building_on("weights", version), "d1")
