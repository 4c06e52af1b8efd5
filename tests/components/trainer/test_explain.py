"""The explain signature: maps of the right shape, and of this network rather than of any."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.export.calibration import Calibration
from components.trainer.export.explain import Explainer
from components.trainer.export.out_of_distribution import OutOfDistributionDetector
from components.trainer.export.readout import with_weight
from components.trainer.export.served import Served
from components.trainer.model import network as networks
from components.trainer.model.classes import Classes
from components.trainer.model.classifier import Classifier, InferenceGraph, Member
from core.measures.operating_point import OperatingPoint, Zones
from tests.support import lesions, tiny_trainer
from tests.support.saved_model import CppModel

CLASSES = Classes(("bkl", "nv", "mel"), (0.0, 0.0, 1.0), 1)


def served(sizes: tuple[int, ...], seed: int) -> Served:
    moments = networks.Moments((150.0,) * 3, (50.0,) * 3)
    members = []
    for size in sizes:
        keras.utils.set_random_seed(seed)
        network = networks.build(tiny_trainer.TINY, size=size, classes=3, moments=moments, fast=False)
        head = network.model.get_layer("head_logits")
        kernel = np.zeros(head.kernel.shape, np.float32)
        kernel[:, 2] = np.random.default_rng(seed).exponential(
            size=len(kernel)
        )  # something always speaks for mel
        head.set_weights([kernel, np.zeros(3, np.float32)])
        members.append(Member(network, size))
    zeros = np.zeros(1, np.float32)
    classifier = Classifier(tuple(members), CLASSES, 1)
    return Served(
        classifier, with_weight(CLASSES, 0.1), Calibration("none"),
        OperatingPoint(0.5, 0.9, 0.5, (0, 1), (0, 1)), Zones(0.1, 0.9),
        OutOfDistributionDetector(zeros, zeros, zeros, zeros, 1.0, 1.0), InferenceGraph(classifier, 64), 64, "1",
    )  # fmt: skip


def pictures(count: int) -> tf.Tensor:
    draw = np.random.default_rng(4)
    return tf.constant([lesions.jpeg(lesions.picture(draw, bool(i % 2))) for i in range(count)])


@pytest.mark.parametrize("sizes", [(64,), (64, 48)])
def test_heat_maps_are_normalised_and_overlays_are_pictures(sizes: tuple[int, ...]) -> None:
    model = served(sizes, 1)
    answers = tf.function(Explainer(model))(pictures(3))
    heat = answers["heat_map"].numpy()
    assert heat.shape == (3, 64, 64)
    assert heat.min() >= 0
    np.testing.assert_allclose(heat.max(axis=(1, 2)), 1.0, atol=1e-5)
    for overlay in answers["overlay_bytes"].numpy():
        assert tf.io.decode_jpeg(overlay).shape == (64, 64, 3)


def test_another_networks_weights_give_another_map() -> None:
    """The sanity check of Adebayo et al. (2018): a map that survives random weights explains nothing."""
    one, again, other = (
        Explainer(served((192,), seed))(pictures(4))["heat_map"].numpy() for seed in (1, 1, 2)
    )
    np.testing.assert_allclose(one, again, atol=1e-5)
    assert np.abs(one - other).mean(axis=(1, 2)).min() > 0.03


def test_the_maps_peak_follows_the_evidence() -> None:
    """A head that likes one channel: the map is that channel's, and only where it raises the odds."""
    model = served((64,), 1)
    network = model.classifier.members[0].network
    head = network.model.get_layer("head_logits")
    kernel = np.zeros(head.kernel.shape, np.float32)
    kernel[5, 2] = 1.0  # mel
    head.set_weights([kernel, np.zeros(3, np.float32)])
    batch = pictures(2)
    fresh = dataclasses.replace(model, graph=InferenceGraph(model.classifier, 64))
    found = Explainer(fresh)(batch)["heat_map"].numpy()
    from components.transform import images

    maps = network(images.view(images.decode_batch(batch, 64), 64)).maps[..., 5].numpy()
    for heat, channel in zip(found, maps, strict=True):
        peak = np.unravel_index(channel.argmax(), channel.shape)
        cell = 64 // channel.shape[0]
        assert heat[peak[0] * cell : (peak[0] + 1) * cell, peak[1] * cell : (peak[1] + 1) * cell].max() > 0.9


def test_the_exported_signature_answers_and_agrees_about_the_probability(
    scratch: tiny_trainer.Trained,
) -> None:
    model = CppModel(scratch.model)
    batch = list(pictures(2).numpy())
    explained, answered = model.ask("explain", batch), model.ask("serving_default", batch)
    assert set(explained) == {"heat_map", "overlay_bytes", "probability"}
    np.testing.assert_allclose(explained["probability"], answered["probability"], atol=1e-6)
