"""The ladder's presets."""

from __future__ import annotations

import pytest

from components.trainer.model import network as networks
from components.trainer.model.network import Moments
from core.errors import UsageError
from studies.ladder import rungs

EXACT = {"01-base-1e-8": 152_175_393, "09-deeper": 134_264_641}


def parameters(name: str) -> int:
    """How many parameters a rung's network has, from random weights."""
    config = rungs.presets()[name].trainer
    network = networks.build(
        config, size=config.stages[-1].size, classes=2, moments=Moments((0, 0, 0), (1, 1, 1)), weights="none"
    )
    return int(network.model.count_params())


@pytest.mark.parametrize("name", EXACT)
def test_the_study_s_parameters_are_counted_exactly(name: str) -> None:
    assert parameters(name) == EXACT[name]


def test_every_preset_is_read_and_starts_from_a_rung_before_it() -> None:
    presets = rungs.presets()
    assert len(presets) == 26
    order = list(presets)
    for name, rung in presets.items():
        assert rung.trainer.image_size == 256
        assert rung.about.command.endswith(name)
        if rung.warm_start:
            assert order.index(rung.warm_start) < order.index(name)
    assert {rung.trainer.loss.kind for rung in presets.values()} == {"cross_entropy", "focal", "dice"}
    cyclic = presets["15-resnet50-cyclic"].trainer.optimiser
    assert (cyclic.schedule, cyclic.body_learning_rate, cyclic.final) == ("cyclic", 1e-2, 1e-3)
    assert presets["11-deeper-zoom"].trainer.augmentation.zoom == (0.5, 1.0)
    assert presets["26-vgg16-conv1x1"].trainer.head.layout == "conv1x1"


def test_rungs_are_chosen_by_their_beginnings() -> None:
    assert list(rungs.chosen(["09", "vgg19"])) == ["09-deeper", "21-vgg19"]
    assert list(rungs.chosen(["13-deeper-dice"])) == ["09-deeper", "10-deeper-dropout", "13-deeper-dice"]
    with pytest.raises(UsageError, match="--rungs nothing: no such rung"):
        rungs.chosen(["nothing"])


def test_a_file_of_weights_replaces_imagenet_s_for_its_network_only() -> None:
    changed = rungs.with_weights(rungs.presets(), ["vgg16=vgg.h5#sha256=ab"])
    taken = [name for name, rung in changed.items() if rung.trainer.weights == "vgg.h5#sha256=ab"]
    assert taken == [name for name, rung in rungs.presets().items() if rung.trainer.backbone == "vgg16"]
    assert changed["21-vgg19"] == rungs.presets()["21-vgg19"]
    for text in ("vgg16", "base_cnn=a.h5", "a.h5"):
        with pytest.raises(
            UsageError, match="give BACKBONE=PATH#sha256=HEX, with one of densenet169, resnet101"
        ):
            rungs.with_weights(rungs.presets(), [text])


@pytest.mark.parametrize("name", ["16-vgg16", "26-vgg16-conv1x1"])
def test_the_heads_of_the_imagenet_rungs_fit_their_network(name: str) -> None:
    trunk, dense = 14_714_688, (512, 256, 128, 1)
    start = 7 * 7 * 512 if name == "16-vgg16" else 512
    head = sum((width + 1) * units for width, units in zip((start, *dense), dense, strict=False))
    assert parameters(name) == trunk + head
