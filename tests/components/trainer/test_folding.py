"""Folding: which batch-norms go, and that the network says what it said."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.model import folding
from components.trainer.model.backbones import registry


def norms(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def shaken(name: str, size: int) -> keras.Model:
    """A network whose batch-norms all do something."""
    model = registry.build(name, size=size, weights="none").model()
    draw = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.variables:
                low, high = (
                    (0.5, 1.5) if "gamma" in variable.name or "variance" in variable.name else (-0.3, 0.3)
                )
                variable.assign(draw.uniform(low, high, variable.shape))
    return model


@pytest.mark.parametrize(
    ("name", "size", "left"),
    [
        ("tiny_cnn", 32, 0),
        ("efficientnet_lite0", 32, 0),
        ("base_cnn", 76, 0),
        # Those before a convolution, not after one, stay.
        pytest.param("resnet50v2", 32, 17, marks=pytest.mark.slow),
        pytest.param("densenet121", 32, 62, marks=pytest.mark.slow),
        pytest.param("efficientnetv2_b0", 32, 0, marks=pytest.mark.slow),
        pytest.param("mobilenetv3_small", 32, 0, marks=pytest.mark.slow),
        pytest.param("inception_v3", 75, 0, marks=pytest.mark.slow),
    ],
)
def test_a_folded_network_has_the_same_maps(name: str, size: int, left: int) -> None:
    model = shaken(name, size)
    before = [np.array(value) for value in model.get_weights()]
    folded = folding.folded(model)
    assert len(norms(folded)) == left
    pixels = tf.random.stateless_uniform([2, size, size, 3], [1, 2], 0, 255)
    wanted, found = model([pixels], training=False).numpy(), folded([pixels], training=False).numpy()
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_a_batch_norm_behind_an_activation_or_a_second_reader_stays() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="active")(inputs)
    x = keras.layers.BatchNormalization(name="behind_relu")(x)
    shared = keras.layers.Conv2D(4, 3, name="shared")(x)
    x = keras.layers.Add()([keras.layers.BatchNormalization(name="one_reader")(shared), shared])
    x = keras.layers.Conv2D(4, 3, name="alone")(x)
    model = keras.Model(inputs, keras.layers.BatchNormalization(name="foldable")(x))
    assert folding.foldable(model) == {"foldable": "alone"}
    assert norms(folding.folded(model)) == ["behind_relu", "one_reader"]
