"""Augmentation: reproducible by seed, the same eagerly and in a graph, nothing where it is off."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from components.trainer.data.augmentation import augment
from components.trainer.settings import AugmentationConfig

OFF = AugmentationConfig(flip=False, rotation=0, zoom=(1, 1), shift=0, brightness=0, contrast=0, saturation=0)
ALL = AugmentationConfig(
    quarter_turns=True, aspect=0.1, shear=0.1, colour=0.2, gamma=0.2, blur=0.5, noise=5, hair=0.5, cutout=0.2,
    tint=0.05, chroma=0.3, lightness=0.3, illumination=0.3, vignette=0.4, sharpness=1.0, corners=0.5, ruler=0.5,
)  # fmt: skip
PICTURES = tf.constant(np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3)), tf.uint8)
SEED = tf.constant([17, 3000], tf.int64)


def test_everything_off_is_the_identity() -> None:
    found = augment(PICTURES, SEED, 40, OFF)
    np.testing.assert_allclose(found, tf.cast(PICTURES, tf.float32), atol=1e-2)


@pytest.mark.parametrize("config", [AugmentationConfig(), ALL], ids=["default", "all"])
def test_the_same_seed_gives_the_same_pictures_eagerly_and_in_a_graph(config: AugmentationConfig) -> None:
    eager = augment(PICTURES, SEED, 32, config)
    graph = tf.function(lambda p, s: augment(p, s, 32, config))(PICTURES, SEED)
    assert eager.shape == (4, 32, 32, 3)
    np.testing.assert_allclose(eager, graph, atol=1e-2)
    assert tf.reduce_min(eager) >= 0
    assert tf.reduce_max(eager) <= 255
    other = augment(PICTURES, tf.constant([17, 4000], tf.int64), 32, config)
    assert np.abs(eager - other).max() > 10


@pytest.mark.parametrize(
    "change",
    [
        {"flip": True}, {"rotation": 90}, {"zoom": (0.5, 0.6)}, {"shift": 0.2}, {"shear": 0.3}, {"aspect": 0.3},
        {"brightness": 0.5}, {"contrast": 0.5}, {"saturation": 0.5}, {"colour": 0.5}, {"gamma": 0.5},
        {"blur": 1.0}, {"noise": 20}, {"hair": 1.0}, {"cutout": 0.4},
        {"quarter_turns": True}, {"jpeg": (10, 20)}, {"tint": 0.1}, {"chroma": 0.5}, {"lightness": 0.5},
        {"illumination": 0.5}, {"vignette": 0.5}, {"sharpness": 2.0}, {"corners": 1.0}, {"ruler": 1.0},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_each_setting_changes_pictures_by_itself(change: dict[str, object]) -> None:
    config = OFF.model_copy(update=change)
    found = augment(PICTURES, SEED, 40, config)
    assert np.abs(found - tf.cast(PICTURES, tf.float32)).max() > 3


def test_a_half_turn_is_a_half_turn() -> None:
    picture = np.zeros((1, 20, 20, 3), np.uint8)
    picture[0, 2:6, 3:9] = 200
    turns = {
        round(float(tf.reduce_sum(augment(tf.constant(picture), tf.constant([1, i * 1000], tf.int64), 20,
              OFF.model_copy(update={"rotation": 180.0})))), -3)
        for i in range(8)
    }  # fmt: skip
    full = float(picture.sum())
    assert all(abs(total - full) / full < 0.2 for total in turns)  # nothing is lost outside the picture


def test_quarter_turns_move_every_pixel_to_a_pixel() -> None:
    found = augment(PICTURES, SEED, 40, OFF.model_copy(update={"quarter_turns": True})).numpy()
    turned = 0
    for picture, shown in zip(PICTURES.numpy().astype(np.float32), found, strict=True):
        distances = [np.abs(np.rot90(picture, k) - shown).max() for k in range(4)]
        assert min(distances) < 0.1
        turned += int(np.argmin(distances) > 0)
    assert turned


def test_jpeg_quality_is_drawn_in_its_range() -> None:
    smooth = tf.cast(tf.image.resize(PICTURES[:, ::8, ::8], [40, 40]), tf.uint8)
    lost = [
        float(tf.reduce_mean(tf.abs(augment(smooth, SEED, 40, OFF.model_copy(update={"jpeg": quality})) - tf.cast(smooth, tf.float32))))
        for quality in ((90, 99), (10, 20))
    ]  # fmt: skip
    assert 0 < 2 * lost[0] < lost[1]
    with pytest.raises(ValidationError, match=r"jpeg=\(90, 10\): give \[low, high\]"):
        AugmentationConfig(jpeg=(90, 10))


FLAT = tf.fill([64, 64, 64, 3], tf.constant(200, tf.uint8))


def test_hair_is_drawn_over_some_pictures_and_leaves_the_others_alone() -> None:
    found = augment(FLAT, SEED, 64, OFF.model_copy(update={"hair": 0.5})).numpy()
    touched = np.abs(found - 200.0).max(axis=(1, 2, 3)) > 1
    assert 16 < touched.sum() < 48
    np.testing.assert_allclose(found[~touched], 200.0, atol=1e-2)
    # Thin and dark: each hairy picture keeps most of its pixels, and has some of a hair's grey level.
    covered = (found[touched] < 199).mean(axis=(1, 2, 3))
    assert covered.max() < 0.7
    assert np.median(found[touched].min(axis=(1, 2, 3))) < 100
    assert found[touched].max() <= 200.01


def test_no_picture_of_a_batch_need_have_hair() -> None:
    graph = tf.function(lambda p: augment(p, SEED, 64, OFF.model_copy(update={"hair": 1e-6})))
    found = graph(FLAT)
    assert graph.get_concrete_function(FLAT).structured_outputs.shape == (64, 64, 64, 3)
    np.testing.assert_allclose(found, tf.cast(FLAT, tf.float32), atol=1e-2)
