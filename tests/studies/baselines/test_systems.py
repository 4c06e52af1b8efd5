"""Each surveyed system learns, from figures, what there is to learn."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from components.trainer.progress import Progress
from studies.baselines import compare, frozen_cnn, perceptron, systems
from studies.baselines.perceptron import Perceptron, task
from studies.baselines.systems import System


@pytest.fixture(autouse=True)
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.baselines.perceptron._GENERATIONS", 40)
    monkeypatch.setattr("studies.baselines.perceptron._CUPS", 40)


@pytest.mark.parametrize("system", compare.CLASSICAL, ids=lambda system: system.name)
def test_a_system_beats_chance_and_repeats_itself(system: System, tables) -> None:
    first, second = (
        compare.compare([system], tables, 3, Progress(io.StringIO()))[0].model_dump(exclude={"fit_seconds"})
        for _ in range(2)
    )
    assert first["auc"]["value"] > 0.8
    assert first == second
    assert first["auc"]["low"] < first["auc"]["value"] < first["auc"]["high"]


def test_thresholds_are_fixed_for_the_sensitivity_that_is_named(tables) -> None:
    for system, wanted in ((systems.LINEAR, 0.95), (systems.NEIGHBOURS, 0.98)):
        (row,) = compare.compare([system], tables, 3, Progress(io.StringIO()))
        on_eval = system.fit(tables["train"], tables["eval"], 3)(tables["eval"].values)
        positive = tables["eval"].targets == 1
        assert (on_eval[positive] >= row.threshold).mean() >= wanted


def test_the_published_limit_is_used_as_it_is(tables) -> None:
    (row,) = compare.compare([systems.PUBLISHED], tables, 3, Progress(io.StringIO()))
    total = tables["test"].values[:, systems.TOTAL]
    positive = tables["test"].targets == 1
    assert row.sensitivity.value == pytest.approx((total[positive] >= 5.475).mean())


def test_back_propagation_is_the_gradient_of_the_loss() -> None:
    draw = np.random.default_rng(0)
    network = Perceptron(3, 4)
    weights, values = draw.normal(size=network.size), draw.normal(size=(20, 3))
    targets, importance = (draw.random(20) < 0.4).astype(float), draw.random(20) + 0.5
    found = network.gradient(weights, values, targets, importance)
    step = 1e-6
    for index in range(network.size):
        shifted = np.array([weights, weights])
        shifted[0, index] += step
        shifted[1, index] -= step
        up, down = network.loss(shifted, values, targets, importance)
        assert found[index] == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_many_networks_at_once_are_the_same_as_one_by_one(tables) -> None:
    given = task(tables["train"], 0)
    weights = np.random.default_rng(1).normal(size=(5, given.network.size))
    together = given.losses(weights)
    alone = [given.network.loss(row, given.values, given.targets, given.importance) for row in weights]
    np.testing.assert_allclose(together, alone)


def test_the_world_cup_finds_a_minimum() -> None:
    goal = np.linspace(-1, 1, 6)
    best, cost = perceptron.minimise(
        lambda teams: np.square(teams - goal).sum(axis=1), 6, low=-2, high=2, seed=1, cups=150
    )
    assert cost < 0.05
    assert np.abs(best - goal).max() < 0.25
    assert best.min() >= -2
    assert best.max() <= 2


def test_features_of_another_weights_file_are_not_taken_for_these(tmp_path: Path) -> None:
    one, other = tmp_path / "a.pth", tmp_path / "b.pth"
    one.write_bytes(b"a")
    other.write_bytes(b"b")
    names = [
        frozen_cnn.named(text) for text in ("imagenet", "none", str(one), f"{one}#sha256=ca97", str(other))
    ]
    assert names[2] == names[3]
    assert len(set(names)) == 4
