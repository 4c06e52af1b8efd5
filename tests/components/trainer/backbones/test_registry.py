"""Every backbone: what it promises, one training step, and the answer of what is pushed to TensorFlow's C++ loader."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.export import saved_model
from components.trainer.export.calibration import Calibration
from components.trainer.export.out_of_distribution import OutOfDistributionDetector
from components.trainer.export.readout import with_weight
from components.trainer.export.served import Served
from components.trainer.fit import optimisation
from components.trainer.model import network as networks
from components.trainer.model.backbones import registry
from components.trainer.model.backbones.backbone import UnknownBackboneError, WeightsUnavailableError
from components.trainer.model.classes import Classes
from components.trainer.model.classifier import Classifier, InferenceGraph, Member
from components.trainer.model.network import Network
from components.trainer.settings import HeadConfig, OptimiserConfig, StageConfig
from components.transform import images
from core import features
from core.measures.operating_point import OperatingPoint, Zones
from serving.engine.check import check_saved_model
from tests.support import lesions

# name: (smallest side, parameters without a head; with Keras' 1000-way head they make the totals of its table)
NETWORKS = {
    "efficientnet_lite0": (32, 3_413_024),
    "efficientnet_lite1": (32, 4_189_344),
    "efficientnet_lite2": (32, 4_869_168),
    "efficientnetv2_b0": (32, 5_919_312),
    "efficientnetv2_b1": (32, 6_931_124),
    "efficientnetv2_b2": (32, 8_769_374),
    "efficientnetv2_b3": (32, 12_930_622),
    "efficientnetv2_s": (32, 20_331_360),
    "mobilenetv3_small": (32, 939_120),
    "mobilenetv3_large": (32, 2_996_352),
    "resnet50": (32, 23_587_712),
    "resnet101": (32, 42_658_176),
    "resnet50v2": (32, 23_564_800),
    "resnet101v2": (32, 42_626_560),
    "densenet121": (32, 7_037_504),
    "densenet169": (32, 12_642_880),
    "vgg16": (32, 14_714_688),
    "vgg19": (32, 20_024_384),
    "inception_v3": (75, 21_802_784),
    "convnext_tiny": (32, 27_820_128),
    "base_cnn": (76, 1_172_256),
    "deeper_cnn": (32, 14_714_688),
    "tiny_cnn": (32, 39_648),
}
# keras.io/api/applications: parameters in millions, with the 1000-way head on the pooled features.
DOCUMENTED = {
    "efficientnetv2_b0": 7.2,
    "efficientnetv2_b1": 8.2,
    "efficientnetv2_b2": 10.2,
    "efficientnetv2_b3": 14.5,
    "efficientnetv2_s": 21.6,
    "resnet50": 25.6,
    "resnet101": 44.7,
    "resnet50v2": 25.6,
    "resnet101v2": 44.7,
    "densenet121": 8.1,
    "densenet169": 14.3,
    "inception_v3": 23.9,
    "convnext_tiny": 28.6,
}
# Of each module of backbones one; the others, all families of keras.applications but one among them, take seconds each, by
# tracing and by exporting three signatures, and are slow tests.
EACH_TIME = {"efficientnet_lite0", "mobilenetv3_small", "base_cnn", "tiny_cnn"}
MOMENTS = networks.Moments((150.0, 120.0, 110.0), (40.0, 40.0, 40.0))


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    """Begin with the same numbers, and leave none of up to 170 MB of weights to the next test."""
    keras.utils.set_random_seed(17)
    yield
    keras.backend.clear_session()
    gc.collect()


def _all_but(each_time: set[str]) -> list[Any]:
    return [pytest.param(name, marks=[] if name in each_time else [pytest.mark.slow]) for name in NETWORKS]


@pytest.mark.parametrize("name", _all_but(EACH_TIME))
def test_backbone_keeps_its_promises_and_trains(name: str) -> None:
    size, parameters = NETWORKS[name]
    network = networks.build(_config(name), size=size, classes=2, moments=MOMENTS)
    _promises(network, parameters)
    kernel = network.model.trainable_variables[0].numpy()
    _step(network, _config(name), size)
    assert not np.array_equal(kernel, network.model.trainable_variables[0].numpy())


@pytest.mark.parametrize("name", _all_but({"tiny_cnn"}))
def test_what_is_pushed_answers_as_the_trained_backbone_in_the_c_plus_plus_loader(
    name: str, tmp_path: Path
) -> None:
    size, _ = NETWORKS[name]
    config = _config(name)
    trained = networks.build(config, size=size, classes=2, moments=MOMENTS)
    _step(trained, config, size)
    exported = networks.build(config, size=size, classes=2, moments=MOMENTS, fast=False)
    exported.model.set_weights(trained.weights())
    served = _served(exported, size)
    saved_model.write(served, tmp_path, metadata={})
    draw = np.random.default_rng(3)
    pictures = [lesions.jpeg(lesions.picture(draw, positive)) for positive in (True, False)]
    check = check_saved_model(tmp_path, [{features.IMAGE_BYTES: pictures}])
    assert check.ok, check.load_error or check.answers[0].error
    # The network as it was trained, batch-norm and all; what is pushed has it folded.
    pixels = images.view(images.decode_batch(tf.constant(pictures), size), size)
    wanted = tf.nn.softmax(exported(pixels).logits).numpy()[:, 1]
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(check.answers[0].outputs[features.PROBABILITY], wanted, atol=1e-5)


@pytest.mark.slow
def test_networks_too_large_for_constants_keep_their_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.trainer.model.classifier.LARGEST_CONSTANTS", 1000)
    network = networks.build(_config("tiny_cnn"), size=32, classes=2, moments=MOMENTS, fast=False)
    saved_model.write(_served(network, 32), tmp_path, metadata={})
    kept = [
        shape for name, shape in tf.train.list_variables(str(tmp_path / "variables" / "variables")) if shape
    ]
    assert sum(map(math.prod, kept)) == network.folded().model.count_params()  # each once
    picture = lesions.jpeg(lesions.picture(np.random.default_rng(3), True))
    check = check_saved_model(tmp_path, [{features.IMAGE_BYTES: [picture]}])
    assert check.ok, check.load_error or check.answers[0].error
    pixels = images.view(images.decode_batch(tf.constant([picture]), 32), 32)
    wanted = tf.nn.softmax(network(pixels).logits).numpy()[:, 1]
    np.testing.assert_allclose(check.answers[0].outputs[features.PROBABILITY], wanted, atol=1e-5)


def _config(name: str) -> TrainerConfig:
    size, _ = NETWORKS[name]
    return TrainerConfig(
        strategy="fine_tune",
        backbone=name,
        weights="none",
        batch_norm="train",
        image_size=size,
        stages=(StageConfig(size=size, epochs=1),),
        head=HeadConfig(kind="binary"),
        optimiser=OptimiserConfig(name="sgd"),
    )


def _promises(network: Network, parameters: int) -> None:
    """Assert what the Trainer relies on: a flat graph, every weight in one block, the named layers."""
    backbone, model = network.backbone, network.model
    body = [layer for layer in model.layers if layer.name not in ("head_dropout", "head_logits")]
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert sum(layer.count_params() for layer in body) == parameters
    if backbone.name in DOCUMENTED:
        total = parameters + (backbone.features.shape[-1] + 1) * 1000
        assert round(total / 1e6, 1) == DOCUMENTED[backbone.name]
    assert sorted(n for block in backbone.blocks for n in block) == sorted(
        layer.name for layer in body if layer.weights
    )
    assert len(backbone.features.shape) == 4
    shapes = [model.get_layer(name).output.shape for name in backbone.taps]
    assert all(len(shape) == 4 for shape in shapes)
    assert [s[1] for s in shapes] == sorted((s[1] for s in shapes), reverse=True)  # the finest first
    assert backbone.expects == ("standardised" if backbone.name.endswith("_cnn") else "rgb")


def _step(network: Network, config: TrainerConfig, size: int) -> None:
    networks.freeze(network, config, 0)
    optimiser = optimisation.Optimiser(config.optimiser, *network.split_variables())
    variables = [variable.value for variable in optimiser.trained]
    pixels = np.random.default_rng(3).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        logits = network(tf.constant(pixels), training=True).logits
        loss = optimisation.loss(config.loss, logits, tf.eye(2), tf.ones([2]))
    optimiser.apply(tape.gradient(loss, variables), tf.constant(1.0))


def _served(network: Network, size: int) -> Served:
    """The network with nothing fitted: its softmax is the answer."""
    classes = Classes(("negative", "positive"), (0.0, 1.0), 0)
    channels = network.model.outputs[2].shape[-1] + 4 * 4 * 3 + 3  # levels, colours, their spread
    nothing = np.zeros([channels, 1], np.float32)
    anything_goes = OutOfDistributionDetector(
        nothing[:, 0], nothing, nothing, np.ones(channels, np.float32), residual=1.0, limit=np.inf
    )
    classifier = Classifier((Member(network, size),), classes, 1)
    return Served(
        classifier,
        with_weight(classes, 1.0),
        Calibration("none"),
        OperatingPoint(0.5, 1.0, 1.0, (0.0, 1.0), (0.0, 1.0)),
        Zones(0.5, 0.5),
        anything_goes,
        InferenceGraph(classifier, size),
        size,
        "7",
    )


def test_every_name_is_tried_here() -> None:
    assert set(NETWORKS) == set(registry.names())


def test_names_of_layers_do_not_depend_on_what_was_built_before() -> None:
    first = registry.build("mobilenetv3_small", size=32, weights="none")
    second = registry.build("mobilenetv3_small", size=32, weights="none")
    assert [x.name for x in first.model().layers] == [x.name for x in second.model().layers]
    assert (first.blocks, first.taps) == (second.blocks, second.taps)


def test_blocks_end_with_the_last_convolutions() -> None:
    backbone = registry.build("vgg16", size=32, weights="none")
    assert backbone.blocks[-1] == ("block5_conv1", "block5_conv2", "block5_conv3")
    assert sum(len(block) for block in backbone.blocks) == 13


def test_an_open_size_takes_any_picture() -> None:
    model = registry.build("efficientnet_lite0", size=None, weights="none").model()
    assert model(np.zeros((1, 64, 96, 3), np.float32)).shape == (1, 2, 3, 1280)


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownBackboneError, match=r"'resnet5' is unknown; valid: .*resnet50, .*tiny_cnn"):
        registry.build("resnet5", size=224)


@pytest.mark.parametrize(("name", "size"), [("inception_v3", 74), ("base_cnn", 75), ("resnet50", 31)])
def test_a_size_too_small_says_the_smallest(name: str, size: int) -> None:
    with pytest.raises(ValueError, match=f"{size} px is too small for {name}; valid: {size + 1} and more"):
        registry.build(name, size=size, weights="none")


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("refused")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.mark.usefixtures("_no_network")
def test_imagenet_weights_out_of_reach_fail_or_turn_random_as_configured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    with pytest.raises(WeightsUnavailableError, match=r"MobileNetV3Small.*on_missing_weights: random"):
        registry.build("mobilenetv3_small", size=32)
    backbone = registry.build("mobilenetv3_small", size=32, on_missing_weights="random")
    assert backbone.weights == "random, for want of imagenet"
    assert "Going on with random weights" in caplog.text
    with pytest.raises(WeightsUnavailableError, match="never trained on ImageNet"):
        registry.build("base_cnn", size=76)
