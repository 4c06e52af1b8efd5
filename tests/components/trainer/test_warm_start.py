"""Weights go into a pushed version and come back out of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from components.trainer.config import TrainerConfig
from components.trainer.data.records import DataError
from components.trainer.export.calibration import Calibration
from components.trainer.fit import parent_models
from components.trainer.model import network as networks
from components.trainer.model.backbones.backbone import WeightsUnavailableError
from components.trainer.settings import StageConfig
from components.transform import images
from tests.support import lesions, tiny_trainer

MOMENTS = networks.Moments((120.0,) * 3, (60.0,) * 3)


@pytest.mark.slow
def test_a_training_starts_from_what_another_exported(
    scratch: tiny_trainer.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "components.trainer.export.saved_model.write", lambda served, *_, **more: kept.append((served, more))
    )
    kept: list[tuple[object, dict[str, dict[str, dict[str, str]]]]] = []
    warm = scratch.config.model_copy(
        update={"weights": f"pushed:{scratch.model}", "stages": (StageConfig(size=64, epochs=0.1),)}
    )
    tiny_trainer.train(scratch.data, warm, tmp_path)
    assert kept[0][1]["metadata"]["backbone"]["weights"].startswith(f"pushed:{scratch.model} (SHA-256 ")
    first, again = (
        networks.build(warm, size=size, classes=2, moments=MOMENTS).backbone.model().get_weights()
        for size in (64, 48)
    )
    fresh = networks.build(warm, size=64, classes=2, moments=MOMENTS, weights="none").backbone.model()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, fresh.get_weights(), strict=True))


def test_a_training_on_other_data_starts_from_it_only_where_that_is_said_to_be_safe(
    scratch: tiny_trainer.Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    class StartedError(Exception):
        pass

    def started(*_: object) -> None:
        raise StartedError

    monkeypatch.setattr("components.trainer.fit.training.train", started)
    warm = scratch.config.model_copy(update={"weights": f"pushed:{scratch.model}"})
    with pytest.raises(DataError, match=r"was trained on data version \w+, this is another"):
        tiny_trainer.train(scratch.data, warm, tmp_path, data_version="another")
    allowed = warm.model_copy(update={"allow_other_data": True})
    with pytest.raises(StartedError):
        tiny_trainer.train(scratch.data, allowed, tmp_path, data_version="another")
    assert "this is another; allow_other_data says" in capfd.readouterr().err


def test_the_file_holds_the_exported_weights(scratch: tiny_trainer.Trained) -> None:
    """The graph holds them folded and as constants, so the networks of the file are asked what it is asked."""
    import tensorflow as tf

    classifier, size = parent_models.load_teacher(scratch.model)
    draw = np.random.default_rng(5)
    pictures = [lesions.jpeg(lesions.picture(draw, positive)) for positive in (True, False)]
    found, _ = classifier(images.decode_batch(tf.constant(pictures), size))
    about = json.loads((scratch.model / "assets.extra" / "melanosizer.json").read_text())
    fitted = about["calibration"]
    calibration = Calibration(
        fitted["kind"],
        fitted.get("scale", 1.0),
        fitted.get("shift", 0.0),
        tuple(tuple(knot) for knot in fitted.get("knots", ())),
    )
    answered = tf.saved_model.load(str(scratch.model)).signatures["serving_default"](tf.constant(pictures))
    np.testing.assert_allclose(answered["probability"], calibration(found[:, 1]), atol=1e-5)
    exported = scratch.config.model_copy(update={"weights": f"pushed:{scratch.model}"})
    network = networks.build(exported, size=64, classes=2, moments=MOMENTS)
    kept = classifier.members[0].network.model.get_layer("block3_conv").get_weights()
    for one, other in zip(network.model.get_layer("block3_conv").get_weights(), kept, strict=True):
        np.testing.assert_array_equal(one, other)
    assert about["backbone"]["weights"] == "none"


def test_missing_imagenet_weights_end_the_run_or_are_random_by_configuration() -> None:
    config = TrainerConfig(backbone="tiny_cnn")
    with pytest.raises(WeightsUnavailableError, match="set on_missing_weights: random"):
        networks.build(config, size=32, classes=2, moments=MOMENTS)
    config = config.model_copy(update={"on_missing_weights": "random"})
    network = networks.build(config, size=32, classes=2, moments=MOMENTS)
    assert network.backbone.weights == "random, for want of imagenet"


@pytest.mark.parametrize("weights", ["http://example.org/a.h5", "https://example.org/a.h5"])
def test_a_download_needs_its_hash(weights: str) -> None:
    with pytest.raises(ValidationError, match="a download is https:// with #sha256="):
        TrainerConfig(weights=weights)
