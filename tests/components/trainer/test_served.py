"""serving_default's answers, worked out again beside it: zone, decision, version, and what is no dermoscopy."""

from __future__ import annotations

import json
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer import run
from components.trainer.data.records import Split
from components.trainer.export import saved_model
from components.trainer.export.out_of_distribution import OutOfDistributionDetector
from components.trainer.export.served import Served
from components.trainer.fit import training
from components.trainer.fit.history import History
from components.trainer.fit.task import TrainContext
from components.trainer.model.classifier import predict
from components.trainer.model.network import Moments
from components.trainer.settings import StageConfig
from components.transform import images
from core import features
from tests.support import lesions, strangers, tiny_trainer
from tests.support.saved_model import CppModel

SIDE = tiny_trainer.TINY.image_size


def pictures_of(pattern: str) -> list[bytes]:
    files = sorted(tf.io.gfile.glob(pattern))
    records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    return [
        tf.train.Example.FromString(record).features.feature[features.IMAGE].bytes_list.value[0]
        for record in records
    ]


@pytest.mark.parametrize("strategy", ["scratch", "frozen"])
def test_zone_decision_and_version_follow_from_what_the_model_says_of_itself(
    strategy: str, request: pytest.FixtureRequest
) -> None:
    trained: tiny_trainer.Trained = request.getfixturevalue(strategy)
    answers = CppModel(trained.model).ask("serving_default", pictures_of(trained.data.evaluation))
    about = json.loads((trained.model / "assets.extra" / "melanosizer.json").read_text())
    # The graph holds the limits as float32.
    low, refer = (np.float32(about["zones"][name]) for name in ("low_below", "refer_from"))
    probability = answers[features.PROBABILITY]
    wanted = np.where(probability < low, "low", np.where(probability >= refer, "refer", "review"))
    assert len(probability) == 64
    assert [zone.decode() for zone in answers[features.ZONE]] == wanted.tolist()
    assert len(set(wanted) & {"low", "refer"}) > 0
    called = probability >= np.float32(about["threshold"])
    np.testing.assert_array_equal(answers[features.DECISION], called.astype(np.int64))
    assert 0 < called.sum() < len(called)
    np.testing.assert_array_equal(answers[features.THRESHOLD], np.float32(about["threshold"]))
    assert {version.decode() for version in answers[features.MODEL_VERSION]} == {about["model_version"]}


@dataclass(frozen=True)
class Drawn:
    served: Served
    model: CppModel


def drawn(name: str, count: int, seed: int) -> Split:
    draw = np.random.default_rng(seed)
    targets = (np.arange(count) % 4 == 0).astype(np.int64)
    pictures = [np.asarray(lesions.picture(draw, bool(target), (SIDE, SIDE))) for target in targets]
    return Split(name, np.stack(pictures), tuple(map(str, range(count))), targets, ("",) * count, name)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """All that the Trainer fits, on a network of one epoch."""
    folder = tmp_path_factory.mktemp("fitted")
    config = tiny_trainer.TINY.model_copy(update={"stages": (StageConfig(size=SIDE, epochs=1),)})
    keras.utils.set_random_seed(config.seed)
    data = training.Data(drawn("train", 96, 1), drawn("eval", 64, 2), Moments((150.0,) * 3, (50.0,) * 3), {})
    classifier, answers = training.train(config, data, TrainContext(folder, History(folder)))
    served, _, metrics = run._fit(config, data, classifier, answers, folder)
    saved_model.write(served, folder / "model", metadata=metrics)
    return Drawn(served, CppModel(folder / "model"))


def described(pictures: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The features, the mean colours of a grid of 4 x 4 cells, the spread of each channel."""
    pixels = pictures.astype(np.float64) / 255.0
    cell = SIDE // 4
    grid = pixels.reshape(-1, 4, cell, 4, cell, 3).mean(axis=(2, 4))
    return np.concatenate([levels, grid.reshape(len(pixels), -1), pixels.std(axis=(1, 2))], axis=1)


def distance(novelty: OutOfDistributionDetector, rows: np.ndarray) -> np.ndarray:
    """Half the mean squared component, half the mean of what the components leave out."""
    centred = (rows - novelty.mean) / novelty.scale
    inside = np.square(centred @ novelty.whiten).mean(axis=1)
    outside = np.square(centred).sum(axis=1) - np.square(centred @ novelty.basis).sum(axis=1)
    return (inside + outside / novelty.residual) / 2


def test_out_of_distribution_is_that_of_a_second_implementation(fitted: Drawn) -> None:
    draw = np.random.default_rng(3)
    known = [lesions.jpeg(lesions.picture(draw, number % 4 == 0, (SIDE, SIDE))) for number in range(40)]
    asked = known + list(strangers.pictures().values())[::6]
    pictures = images.decode_batch(tf.constant(asked), SIDE).numpy()
    levels = predict(fitted.served.classifier, pictures).features
    far = distance(fitted.served.detector, described(pictures, levels)) > fitted.served.detector.limit
    found = fitted.model.ask("serving_default", asked)[features.OUT_OF_DISTRIBUTION]
    np.testing.assert_array_equal(found, far.astype(np.float32))
    assert found[: len(known)].mean() < 0.1
    assert found[len(known) :].mean() > 0.5
