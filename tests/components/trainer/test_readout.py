"""Reading P(positive) out of a diagnosis head."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from components.trainer.export.readout import fit, with_weight
from components.trainer.model.classes import Classes

CLASSES = Classes(("bkl", "nv", "mel"), (0.0, 0.0, 1.0), 1)


def test_weight_one_is_the_plain_softmax() -> None:
    class_probabilities = tf.constant([[0.2, 0.5, 0.3]])
    assert with_weight(CLASSES, 1.0)(class_probabilities).numpy() == pytest.approx([0.3])


def test_a_small_weight_asks_melanoma_or_nevus() -> None:
    class_probabilities = tf.constant([[0.8, 0.1, 0.1]])
    assert with_weight(CLASSES, 1e-6)(class_probabilities).numpy() == pytest.approx([0.5], abs=1e-4)


def test_the_weight_is_chosen_by_auc_on_eval() -> None:
    draw = np.random.default_rng(0)
    targets = (np.arange(400) % 4 == 0).astype(int)
    # The share of bkl is noise: only the ratio of mel to nv tells.
    noise = draw.random(400) * 0.9
    mel = (1 - noise) * np.where(targets == 1, 0.6, 0.4)
    class_probabilities = np.stack([noise, 1 - noise - mel, mel], axis=1).astype(np.float32)
    assert fit(CLASSES, targets, class_probabilities).others == 0.03
    assert fit(CLASSES, targets, class_probabilities, others=1.0).others == 1.0


def test_a_binary_head_is_read_plainly() -> None:
    classes = Classes(("negative", "positive"), (0.0, 1.0), 0)
    class_probabilities = np.array([[0.7, 0.3], [0.2, 0.8]], np.float32)
    found = fit(classes, np.array([0, 1]), class_probabilities)(tf.constant(class_probabilities)).numpy()
    np.testing.assert_allclose(found, [0.3, 0.8], rtol=1e-6)
