"""Configuration errors name the key, the value and the way out."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from components.trainer.config import TrainerConfig
from components.trainer.settings import StageConfig
from core.measures.operating_point import ZonesConfig
from pipeline.config import load, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_presets_survive_json(name: str) -> None:
    config = load(name).trainer
    assert TrainerConfig.model_validate(config.model_dump(mode="json")) == config


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="bacbone"):
        TrainerConfig.model_validate({"bacbone": "efficientnet_lite0"})


def test_a_stage_larger_than_the_decoded_picture_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"stages\[0\] wants 256 px but image_size=224"):
        TrainerConfig(strategy="fine_tune", stages=(StageConfig(size=128, epochs=1, test_size=256),))


def test_no_snapshot_is_refused() -> None:
    with pytest.raises(ValidationError, match="no stage has snapshot"):
        TrainerConfig(strategy="fine_tune", stages=(StageConfig(size=128, epochs=1, snapshot=False),))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"folds": 3, "weights": "pushed:1795300000"}, "weights=pushed:1795300000 with folds=3"),
        ({"folds": 3, "distil_from": "pushed:1795300000"}, "distil_from=pushed:1795300000 with folds=3"),
        ({"head": {"layout": "conv1x1", "units": [8], "hidden": 256}}, "head.hidden=256 belongs to"),
        ({"head": {"units": [8], "hidden": 256}}, "head.hidden=256 belongs to"),
        ({"frozen": {"flips": 3}}, "1, 2, 4 or 8"),
        ({"neutral_light": True}, "neutral_light=true with tta=1: .* give tta 2, 4 or 8"),
    ],
)
def test_what_would_not_be_done_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TrainerConfig.model_validate({"strategy": "fine_tune", **given})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tta": 2}, "tta=2 with strategy=frozen: .*last_blocks or fine_tune"),
        ({"augmentation": {"hair": 0.3}, "keep": "last"}, r"augmentation\.hair=0\.3, keep=last with"),
        ({"optimiser": {"ema": 0.99}}, r"optimiser\.ema=0\.99 with"),
        ({"optimiser": {"finder": {}}}, r"optimiser\.finder="),
        ({"stages": [{"size": 64, "epochs": 1}]}, "stages=.*size=64"),
        ({"max_minutes": 10}, r"max_minutes=10\.0 with"),
        ({"distil": {"weight": 0.5}}, r"distil\.weight=0\.5 with"),
        ({"head": {"metadata_dropout": 0.1}}, r"head\.metadata_dropout=0\.1 with"),
        ({"unfreeze": 3}, "unfreeze=3 with strategy=frozen: .*a strategy that uses it: last_blocks \\["),
    ],
)
def test_the_frozen_strategy_refuses_what_it_would_ignore(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as refused:
        TrainerConfig.model_validate(given)
    assert "does nothing" in str(refused.value)
    TrainerConfig.model_validate({"strategy": "last_blocks", **given})


def test_the_frozen_strategy_takes_what_it_uses_and_anything_at_its_default() -> None:
    usual = TrainerConfig()
    assert TrainerConfig.model_validate(usual.model_dump(mode="json")) == usual
    optimiser = {"head_learning_rate": 0.01, "schedule": "plateau", "warmup": 0.1, "plateau_patience": 3}
    head = {"kind": "binary", "dropout": 0.1}
    given = {"optimiser": optimiser, "head": head, "patience": 3, "loss": {"kind": "focal"}, "tta": 1}
    assert TrainerConfig.model_validate(given).optimiser.schedule == "plateau"


def test_review_must_cost_less_than_the_other_zones() -> None:
    with pytest.raises(ValidationError, match="reviewed_melanoma=50"):
        ZonesConfig(reviewed_melanoma=50)
    with pytest.raises(ValidationError, match="reviewed_benign=2"):
        ZonesConfig(reviewed_benign=2)


def test_every_field_has_a_description() -> None:
    def fields(model: type[BaseModel]) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                fields(field.annotation)

    fields(TrainerConfig)
    fields(StageConfig)
