"""What is fitted after training, on real lesions: refusal, calibration, zones and the heat map.

The network is that of the preset `quick`, its head trained on a few hundred pictures; others, which nothing has
seen, are asked through the function that is exported as serving_default.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer import run
from components.trainer.data.records import Split
from components.trainer.export.explain import HEAT_MAP, OVERLAY, Explainer
from components.trainer.export.served import Served
from components.trainer.fit import training
from components.trainer.fit.history import History
from components.trainer.fit.task import TrainContext
from components.trainer.model.classifier import InferenceGraph, predict
from components.trainer.model.network import Moments
from components.trainer.settings import FrozenConfig
from components.transform import images
from core import features
from core.measures.auc import auc
from core.measures.calibration import calibration_error, log_loss
from tests.support import strangers, tiny_trainer

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

QUICK = tiny_trainer.preset("quick")
# Smaller pictures and one view, of which novelty needs no second: a third of the time.
CONFIG = QUICK.model_copy(update={"frozen": FrozenConfig(size=160, flips=1)})
# Melanomas and other lesions of each part: more melanomas than there are in life, that there be enough to count.
PARTS = {"train": (160, 240), "eval": (50, 200), "held out": (50, 200)}
BATCH = 50

Answers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Real:
    """A fitted model, and its answers to lesions that neither training nor any fit has seen."""

    served: Served
    ask: Callable[[list[bytes]], Answers]
    encoded: list[bytes]
    held_out: Split
    answers: Answers


def parts(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Rows of the table by part; no lesion has two pictures."""
    with (folder / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(0).shuffle(rows)
    melanomas, others = (iter([row for row in rows if row["target"] == target]) for target in "10")
    return {
        name: [*islice(melanomas, positives), *islice(others, negatives)]
        for name, (positives, negatives) in PARTS.items()
    }


def encoded(folder: Path, rows: list[dict[str, str]]) -> list[bytes]:
    return [(folder / "images" / f"{row['image_name']}.jpg").read_bytes() for row in rows]


def split(name: str, rows: list[dict[str, str]], given: list[bytes]) -> Split:
    return Split(
        name,
        images.decode_batch(tf.constant(given), CONFIG.image_size).numpy(),
        tuple(row["image_name"] for row in rows),
        np.array([int(row["target"]) for row in rows]),
        tuple(row["diagnosis"] for row in rows),
        name,
    )


def asking(served: Served) -> Callable[[list[bytes]], Answers]:
    """serving_default, in batches."""
    answer = tf.function(
        lambda given: served.answer(given), input_signature=[tf.TensorSpec([None], tf.string)]
    )

    def ask(given: list[bytes]) -> Answers:
        parts = [answer(tf.constant(given[start : start + BATCH])) for start in range(0, len(given), BATCH)]
        return {key: np.concatenate([part[key].numpy() for part in parts]) for key in parts[0]}

    return ask


@pytest.fixture(scope="module")
def real(ham10000: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    folder = tmp_path_factory.mktemp("real")
    rows = parts(ham10000)
    given = {name: encoded(ham10000, part) for name, part in rows.items()}
    splits = {name: split(name, rows[name], given[name]) for name in PARTS}
    keras.utils.set_random_seed(CONFIG.seed)
    data = training.Data(splits["train"], splits["eval"], Moments((150.0,) * 3, (50.0,) * 3), {})
    classifier, answers = training.train(CONFIG, data, TrainContext(folder, History(folder)))
    served, _, _ = run._fit(CONFIG, data, classifier, answers, folder)
    ask = asking(served)
    return Real(served, ask, given["held out"], splits["held out"], ask(given["held out"]))


def test_what_is_no_dermoscopy_is_refused_and_real_lesions_are_answered(real: Real) -> None:
    refused = real.answers[features.OUT_OF_DISTRIBUTION]
    assert refused.mean() <= 0.03
    strange = strangers.pictures()
    assert len(strange) > 150
    found = real.ask(list(strange.values()))[features.OUT_OF_DISTRIBUTION]
    answered = [name for name, one in zip(strange, found, strict=True) if not one]
    assert len(answered) <= 0.05 * len(strange), answered


def test_calibration_fitted_on_eval_holds_on_lesions_it_has_not_seen(real: Real) -> None:
    targets = real.held_out.targets
    class_probabilities = predict(real.served.classifier, real.held_out.pictures).class_probabilities
    plain = real.served.readout(tf.constant(class_probabilities)).numpy()
    calibrated = real.answers[features.PROBABILITY]
    np.testing.assert_allclose(
        real.served.probability(tf.constant(class_probabilities)), calibrated, atol=1e-4
    )
    assert auc(targets, calibrated) > 0.7
    assert log_loss(targets, calibrated) <= log_loss(targets, plain) + 0.01
    assert calibration_error(targets, calibrated) < 0.1


def test_the_zones_part_lesions_by_the_limits_and_refer_holds_the_melanomas(real: Real) -> None:
    zones, probability = real.answers[features.ZONE], real.answers[features.PROBABILITY]
    limits = real.served.zones
    refer = probability >= np.float32(limits.refer_from)
    np.testing.assert_array_equal(zones == b"refer", refer)
    np.testing.assert_array_equal(zones == b"low", probability < np.float32(limits.low_below))
    targets = real.held_out.targets
    assert min(refer.sum(), (~refer).sum()) > 20
    assert targets[refer].mean() > 2 * targets[~refer].mean()


def test_the_heat_map_is_a_picture_of_what_this_network_learned(real: Real) -> None:
    surest = np.argsort(real.answers[features.PROBABILITY])[-4:]
    given = tf.constant([real.encoded[row] for row in surest])
    side = CONFIG.image_size
    found = Explainer(real.served)(given)
    heat = found[HEAT_MAP].numpy()
    assert heat.shape == (4, side, side)
    assert heat.min() >= 0
    np.testing.assert_allclose(heat.max(axis=(1, 2)), 1.0, atol=1e-5)
    for overlay, picture, map_ in zip(
        found[OVERLAY].numpy(), real.held_out.pictures[surest], heat, strict=True
    ):
        shown = tf.io.decode_jpeg(overlay).numpy().astype(float)
        assert shown.shape == (side, side, 3)
        # Hot places are veiled, cold ones are the picture.
        changed = np.abs(shown - picture).mean(axis=2)
        assert changed[map_ > 0.5].mean() > 4 * changed[map_ == 0].mean()
    # Adebayo et al. (2018): a map that survives random weights explains nothing.
    model = real.served.classifier.members[0].network.model
    learned, draw = model.get_weights(), np.random.default_rng(0)
    try:
        model.set_weights([draw.permutation(weight.ravel()).reshape(weight.shape) for weight in learned])
        graph = InferenceGraph(real.served.classifier, CONFIG.image_size)
        random_heat = Explainer(replace(real.served, graph=graph))(given)[HEAT_MAP].numpy()
    finally:
        model.set_weights(learned)
    assert np.isfinite(random_heat).all()
    assert np.abs(heat - random_heat).mean(axis=(1, 2)).min() > 0.03
