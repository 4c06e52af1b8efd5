"""What another camera makes of a lesion, and MixStyle: each against what it says it does."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data import camera
from components.trainer.data.draws import RandomDraws
from components.trainer.model import mixstyle
from components.trainer.model import network as networks
from components.trainer.settings import AugmentationConfig

GREY = tf.fill([16, 64, 64, 3], 150.0)
PIXELS = tf.constant(np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)), tf.float32)


def draws() -> RandomDraws:
    return RandomDraws(tf.constant([17, 3000], tf.int64), tf.constant(16))


@pytest.mark.parametrize(
    ("colour", "lab"),
    # Red, green and white, as the author of OKLab gives them.
    [
        ((255, 0, 0), (0.628, 0.225, 0.126)),
        ((0, 255, 0), (0.866, -0.234, 0.179)),
        ((255, 255, 255), (1.0, 0.0, 0.0)),
    ],
)
def test_oklab_is_the_published_one(colour: tuple[int, ...], lab: tuple[float, ...]) -> None:
    np.testing.assert_allclose(camera.oklab(tf.constant([colour], tf.float32))[0], lab, atol=1e-3)


def test_there_and_back_is_the_same_colour() -> None:
    np.testing.assert_allclose(camera.srgb(camera.oklab(PIXELS)), PIXELS, atol=0.5)


def test_a_tint_moves_colour_and_keeps_lightness() -> None:
    found = camera.oklab(camera.perceived(GREY, draws(), AugmentationConfig(tint=0.05)))
    before = camera.oklab(GREY)
    assert np.abs(found[..., 0] - before[..., 0]).max() < 0.01
    moved = np.abs(found[..., 1:] - before[..., 1:]).max(axis=(1, 2, 3))
    assert moved.max() <= 0.051
    assert len(np.unique(np.round(moved, 4))) > 8  # each picture has its own


def test_light_falls_to_one_side_and_to_the_corners() -> None:
    vignette = camera.light(draws(), 64, AugmentationConfig(vignette=0.5)).numpy()[..., 0]
    assert (vignette[:, 32, 32] >= vignette[:, 0, 0]).all()
    assert 0.5 <= vignette.min() < 0.7
    uneven = camera.light(draws(), 64, AugmentationConfig(illumination=0.5)).numpy()[..., 0]
    assert np.abs(uneven[:, 0, 0] - uneven[:, 63, 63]).max() > 0.1
    assert 0.5 <= uneven.min() <= uneven.max() <= 1.0


def test_a_round_field_of_view_is_black_outside_and_leaves_the_middle() -> None:
    found = camera.rounded(GREY, draws(), 64, 1.0).numpy()
    assert (found[:, 24:40, 24:40] == 150).all()
    assert (found[:, 0, 0].min(axis=-1) < 20).any()
    assert (camera.rounded(GREY, draws(), 64, 0.0).numpy() == 150).all()


def test_a_ruler_lies_at_an_edge() -> None:
    found = camera.ruled(GREY, draws(), 64, 1.0).numpy()
    assert (found[:, 24:40, 24:40] == 150).all()
    dark = (found < 149).any(axis=-1).mean(axis=(1, 2))
    assert (dark > 0.002).all()
    assert (dark < 0.1).all()


def test_mixstyle_exchanges_statistics_and_keeps_what_is_left_without_them() -> None:
    maps = PIXELS * tf.reshape(tf.linspace(0.5, 2.0, 8), [8, 1, 1, 1])
    found = mixstyle.mixed(maps, 1.0)
    assert np.abs(found - maps).max() > 1

    def normalised(values: tf.Tensor) -> np.ndarray:
        mean, variance = tf.nn.moments(values, [1, 2], keepdims=True)
        return ((values - mean) / tf.sqrt(variance)).numpy()

    np.testing.assert_allclose(normalised(found), normalised(maps), atol=1e-3)
    np.testing.assert_array_equal(found, mixstyle.mixed(maps, 1.0))  # a resumed training draws the same
    np.testing.assert_array_equal(mixstyle.mixed(maps, 0.0), maps)


def test_a_network_mixes_in_training_only() -> None:
    config = TrainerConfig(
        strategy="fine_tune", weights="none", augmentation=AugmentationConfig(mixstyle=1.0)
    )
    built = {}
    for share in (0.0, 1.0):
        keras.utils.set_random_seed(1)
        changed = config.model_copy(update={"augmentation": AugmentationConfig(mixstyle=share)})
        moments = networks.Moments((0.0,) * 3, (1.0,) * 3)
        built[share] = networks.build(changed, size=None, classes=2, moments=moments)
    pooled = {
        (share, training): network(PIXELS, training=training).pooled.numpy()
        for share, network in built.items()
        for training in (False, True)
    }
    np.testing.assert_allclose(pooled[0.0, False], pooled[1.0, False], rtol=1e-4, atol=1e-5)
    assert np.abs(pooled[0.0, True] - pooled[1.0, True]).max() > 1e-4
