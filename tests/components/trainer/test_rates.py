"""Learning rates: plateau, penalties, the finder, mixed precision."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from components.trainer.config import TrainerConfig
from components.trainer.fit import optimisation, staged
from components.trainer.fit.history import Scores
from components.trainer.fit.lr_finder import FinderConfig
from components.trainer.fit.staged import NetworkLearner
from components.trainer.model import network as networks
from components.trainer.settings import OptimiserConfig, StageConfig
from tests.support import trainer_arrays as arrays

MOMENTS = networks.Moments((120.0,) * 3, (60.0,) * 3)


def small(epochs: float, **optimiser: object) -> TrainerConfig:
    return arrays.CONFIG.model_copy(
        update={
            "stages": (StageConfig(size=32, epochs=epochs),),
            "optimiser": OptimiserConfig.model_validate(
                {"body_learning_rate": 3e-3, "head_learning_rate": 6e-3, **optimiser}
            ),
        }
    )


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "_compiled_step", arrays.untraced_step)


def test_a_plateau_lowers_the_rate_when_eval_stops_rising(
    untraced: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([0.6, 0.7, 0.7, 0.65, 0.8, 0.8])
    monkeypatch.setattr(NetworkLearner, "evaluate", lambda _: Scores(next(given), {}, ""))
    config = small(6, schedule="plateau", plateau_patience=1, fall=0.5, warmup=0.0, final=0.01)
    rows = arrays.train(config, tmp_path).file("history.json")["epochs"]
    assert [row["learning_rate"] for row in rows] == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.25, 0.25])


@pytest.mark.slow
def test_the_finder_leaves_a_plot_and_the_training_as_it_was(tmp_path: Path) -> None:
    finder = FinderConfig(lowest=1e-5, highest=10.0, steps=10)
    plain = arrays.train(small(1), tmp_path / "plain")
    looked = arrays.train(small(1, finder=finder), tmp_path / "looked")
    np.testing.assert_array_equal(plain.class_probabilities, looked.class_probabilities)
    curve = looked.file("lr_finder.json")
    assert curve["rates"][0] == pytest.approx(1e-5)
    assert curve["body_learning_rate"] == 3e-3


def test_the_finders_rate_is_trained_with_and_the_head_keeps_its_proportion(
    untraced: None, tmp_path: Path
) -> None:
    finder = FinderConfig(lowest=1e-5, highest=10.0, steps=10, choose="steepest")
    curve = arrays.train(small(0.1, finder=finder), tmp_path).file("lr_finder.json")
    assert curve["body_learning_rate"] == pytest.approx(curve["steepest"])
    assert curve["steepest"] != curve["rates"][0]
    assert curve["head_learning_rate"] == pytest.approx(2 * curve["steepest"])


def test_penalties_by_hand() -> None:
    kernel, bias = keras.Variable(np.full((2, 2), -3.0)), keras.Variable(np.ones(2))
    both = optimisation.Optimiser(OptimiserConfig(l1=0.1, l2=0.01), [kernel, bias], [])
    assert float(both.penalty()) == pytest.approx(0.1 * 12 + 0.01 * 18)
    assert float(optimisation.Optimiser(OptimiserConfig(), [kernel], []).penalty()) == 0.0


def test_cycles_are_those_of_the_configuration() -> None:
    one = OptimiserConfig(warmup=0.0, final=0.0)
    assert optimisation.rate(one, 0.5) == pytest.approx(0.5)
    restarted = one.model_copy(update={"cycles": 2, "cycle_decay": 0.5})
    assert optimisation.rate(restarted, 0.5) == pytest.approx(0.5)
    assert optimisation.rate(restarted, 0.49) < 0.01
    with pytest.raises(ValidationError, match="give a final below 1, or schedule: constant"):
        OptimiserConfig(final=1.0)


def test_mixed_precision_computes_in_16_bits_and_exports_32() -> None:
    config = arrays.CONFIG.model_copy(update={"precision": "mixed_bfloat16"})
    network = networks.build(config, size=None, classes=2, moments=MOMENTS)
    assert network.model.get_layer("block1_conv").compute_dtype == "bfloat16"
    assert {str(weight.dtype) for weight in network.model.weights} == {"float32"}
    pixels = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1], 0, 255)
    variables = [variable.value for variable in network.model.trainable_variables]
    with tf.GradientTape() as tape:
        seen = network(pixels, training=True)
        value = tf.reduce_sum(seen.logits**2)
    assert {one.dtype for one in seen} == {tf.float32}
    assert all(g.dtype == tf.float32 for g in tape.gradient(value, variables) if g is not None)
    exported = networks.build(config, size=32, classes=2, moments=MOMENTS, fast=False)
    assert exported.model.get_layer("block1_conv").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_stage_ends_with_its_best_or_its_last_weights(
    keep: str, untraced: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[np.ndarray]] = []

    def falling(learner: NetworkLearner) -> Scores:
        seen.append(learner.weights())
        return Scores(1.0 - 0.1 * len(seen), {}, "")

    monkeypatch.setattr(NetworkLearner, "evaluate", falling)
    trained = arrays.train(small(3).model_copy(update={"keep": keep}), tmp_path)
    (member,) = trained.classifier.members
    assert len(seen) == 3
    for weight, wanted in zip(member.network.weights(), seen[0 if keep == "best" else -1], strict=True):
        np.testing.assert_array_equal(weight, wanted)
    assert any((early != late).any() for early, late in zip(seen[0], seen[-1], strict=True))
