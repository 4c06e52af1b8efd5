"""Every backbone: what it promises, one training step, the export, and TensorFlow's C++ session."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.backbones import heads, registry
from components.trainer.backbones.backbone import Backbone
from components.trainer.backbones.errors import UnknownBackboneError, WeightsUnavailableError

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
# Those with the most layers: the tracing of a graph is what takes the time.
DEEP = {
    "efficientnet_lite1",
    "efficientnet_lite2",
    "efficientnetv2_b1",
    "efficientnetv2_b2",
    "efficientnetv2_b3",
    "efficientnetv2_s",
    "mobilenetv3_large",
    "resnet101",
    "resnet101v2",
    "densenet121",
    "densenet169",
    "inception_v3",
}


@pytest.fixture(scope="module", autouse=True)
def _seed() -> None:
    keras.utils.set_random_seed(17)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in DEEP else []) for n in NETWORKS]
)
def test_backbone_trains_exports_and_answers_in_the_c_plus_plus_session(name: str, tmp_path: Path) -> None:
    size, parameters = NETWORKS[name]
    backbone = registry.build(name, size=size, weights="none")
    network = keras.Model(
        backbone.inputs, keras.ops.sigmoid(heads.logits(heads.pooled(backbone.features), 1))
    )
    _promises(backbone, network, parameters)

    images = np.random.default_rng(3).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    kernel = network.trainable_variables[0].numpy()
    _step(network, images)
    answer = network(images, training=False).numpy()
    assert not np.array_equal(kernel, network.trainable_variables[0].numpy())
    assert np.isfinite(answer).all()

    _export(network, size, tmp_path)
    np.testing.assert_allclose(_ask(tmp_path, images), answer, atol=1e-5)


def _promises(backbone: Backbone, network: keras.Model, parameters: int) -> None:
    """Assert what the Trainer relies on: a flat graph, every weight in one block, the named layers."""
    body = [layer for layer in network.layers if not layer.name.startswith("head_logits")]
    assert not any(isinstance(layer, keras.Model) for layer in network.layers)
    assert sum(layer.count_params() for layer in body) == parameters
    if backbone.name in DOCUMENTED:
        total = parameters + (backbone.features.shape[-1] + 1) * 1000
        assert round(total / 1e6, 1) == DOCUMENTED[backbone.name]
    assert sorted(n for block in backbone.blocks for n in block) == sorted(
        layer.name for layer in body if layer.weights
    )
    assert len(network.get_layer(backbone.last_conv).output.shape) == 4
    shapes = [network.get_layer(name).output.shape for name in backbone.taps]
    assert all(len(shape) == 4 for shape in shapes)
    assert [s[1] for s in shapes] == sorted((s[1] for s in shapes), reverse=True)  # the finest first
    assert backbone.expects == ("standardised" if backbone.name.endswith("_cnn") else "rgb")


def _step(network: keras.Model, images: np.ndarray) -> None:
    optimizer = keras.optimizers.SGD(1e-3, clipnorm=1.0)
    with tf.GradientTape() as tape:
        said = network(images, training=True)
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(np.array([[0.0], [1.0]], np.float32), said))
    optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)


def _export(network: keras.Model, size: int, folder: Path) -> None:
    """Export the network with all its weights in one variable.

    Writing and reading a checkpoint of 600 variables takes longer than everything else here. How a
    pushed model keeps its own is the exporter's affair, and tested there.
    """
    shapes = [tuple(v.shape) for v in network.variables]
    module = tf.Module()
    module.flat = tf.Variable(
        np.concatenate([np.ravel(v.numpy()) for v in network.variables]), dtype=tf.float32
    )

    def answer(image: tf.Tensor) -> dict[str, tf.Tensor]:
        pieces = tf.split(module.flat, [int(np.prod(shape)) for shape in shapes])
        values = {
            id(v): tf.cast(tf.reshape(piece, shape), v.dtype)
            for v, piece, shape in zip(network.variables, pieces, shapes, strict=True)
        }
        said, _ = network.stateless_call(
            [values[id(v)] for v in network.trainable_variables],
            [values[id(v)] for v in network.non_trainable_variables],
            image,
            training=False,
        )
        return {"probability": said}

    shape = tf.TensorSpec((None, size, size, 3), tf.float32, name="image")
    serve = tf.function(answer, input_signature=[shape], autograph=False)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def _ask(folder: Path, images: np.ndarray) -> np.ndarray:
    """Load the SavedModel into a C++ session, where no Python object of the model exists, and run it."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
        signature = meta_graph.signature_def["serving_default"]
        return session.run(signature.outputs["probability"].name, {signature.inputs["image"].name: images})


def test_keras_export_archive_writes_what_the_session_reads(tmp_path: Path) -> None:
    backbone = registry.build("tiny_cnn", size=64, weights="none")
    network = keras.Model(
        backbone.inputs, keras.ops.sigmoid(heads.logits(heads.pooled(backbone.features), 1))
    )
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint(
        "serving_default",
        lambda image: {"probability": network(image, training=False)},
        [tf.TensorSpec((None, 64, 64, 3), tf.float32, name="image")],
    )
    archive.write_out(str(tmp_path), verbose=False)
    images = np.random.default_rng(3).normal(size=(2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(_ask(tmp_path, images), network(images), atol=1e-6)


def test_every_name_is_tried_here() -> None:
    assert set(NETWORKS) == set(registry.names())


def test_names_of_layers_do_not_depend_on_what_was_built_before() -> None:
    first = registry.build("mobilenetv3_small", size=32, weights="none")
    second = registry.build("mobilenetv3_small", size=32, weights="none")
    assert [x.name for x in first.model().layers] == [x.name for x in second.model().layers]
    assert (first.blocks, first.taps, first.last_conv) == (second.blocks, second.taps, second.last_conv)


def test_last_blocks_are_counted_from_the_end() -> None:
    backbone = registry.build("vgg16", size=32, weights="none")
    assert backbone.last_blocks(0) == ()
    assert backbone.last_blocks(1) == ("block5_conv1", "block5_conv2", "block5_conv3")
    assert len(backbone.last_blocks(99)) == 13
    with pytest.raises(ValueError, match="0 to 5 are possible"):
        backbone.last_blocks(-1)


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
