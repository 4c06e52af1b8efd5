"""Several processes train what one does: shares of a batch, settings that cannot be, and two real workers."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from components.trainer.config import TrainerConfig
from components.trainer.data.batches import Batches
from components.trainer.fit.distribution import ONE, Cluster, Workers, WorkersError, workers
from components.trainer.fit.loop import TrainState
from components.trainer.model import network as networks
from components.trainer.settings import AugmentationConfig, HeadConfig, OptimiserConfig, StageConfig
from tests.support import together
from tests.support import trainer_arrays as arrays
from tests.support import workers as processes

MOMENTS = networks.Moments((120.0,) * 3, (60.0,) * 3)
PLAIN = AugmentationConfig(
    flip=False, rotation=0.0, zoom=(1.0, 1.0), shift=0.0, brightness=0.0, contrast=0.0, saturation=0.0
)
# Without dropout, augmentation and moving statistics a whole batch and the mean over its parts are the same sums.
SUMS = arrays.CONFIG.model_copy(
    update={
        "batch_norm": "frozen",
        "head": HeadConfig(kind="binary", dropout=0.0),
        "augmentation": PLAIN,
        "optimiser": OptimiserConfig(ema=0.8, l2=1e-3),
        "stages": (StageConfig(size=32, epochs=2),),
    }
)


def cluster(**jobs: list[str]) -> dict[str, Any]:
    return {"cluster": jobs, "task": {"type": "worker", "index": 1}}


def test_every_picture_of_a_batch_is_seen_by_one_worker() -> None:
    chosen = np.array([7, 3, 9, 1, 4, 4])
    shares = [Workers(number, 3).share(chosen) for number in range(3)]
    assert [len(share) for share in shares] == [2, 2, 2]
    np.testing.assert_array_equal(np.concatenate(shares), chosen)
    np.testing.assert_array_equal(ONE.share(chosen), chosen)


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(WorkersError, match=r"batch_size=30 with 4 workers: .* a multiple of 4, such as 32"):
        Workers(0, 4).rows(30)


def test_workers_draw_one_order_and_changes_of_their_own() -> None:
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 255, (12, 16, 16, 3), np.uint8)
    labels = np.arange(12, dtype=np.int32)
    config = arrays.CONFIG.model_copy(update={"batch_size": 6})

    def first(settings: TrainerConfig, who: Workers) -> Any:
        return next(iter(Batches(pictures, labels, 12, 16, settings, workers=who).dataset(0, 0, 0)))

    whole = first(config, ONE)
    halves = [first(config, Workers(number, 2)) for number in range(2)]
    for half in halves:
        assert half.pixels.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(np.concatenate([half.targets for half in halves]), whole.targets)
    plain = config.model_copy(update={"augmentation": PLAIN})
    parts = [first(plain, Workers(number, 2)).pixels for number in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts), first(plain, ONE).pixels)
    same = np.tile(pictures[:1], (12, 1, 1, 1))
    changed = [
        next(iter(Batches(same, labels, 12, 16, config, workers=Workers(n, 2)).dataset(0, 0, 0))).pixels
        for n in range(2)
    ]
    assert not np.array_equal(*changed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_minutes": 5.0}, "max_minutes=5.0 with distribution=workers: clocks differ"),
        ({"strategy": "frozen"}, "strategy=frozen with distribution=workers: .* last_blocks or fine_tune"),
    ],
)
def test_settings_that_workers_cannot_share_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainerConfig.model_validate({"strategy": "fine_tune", "distribution": "workers", **settings})


def test_the_cluster_is_read_as_tensorflow_reads_it() -> None:
    def read(content: object) -> Cluster:
        return Cluster.read({"TF_CONFIG": json.dumps(content)})

    assert read(cluster(worker=["a:1", "b:1"])) == Cluster(("a:1", "b:1"), 1)
    assert read(cluster(worker=["b:1", "c:1"], chief=["a:1"])) == Cluster(("a:1", "b:1", "c:1"), 2)
    with pytest.raises(WorkersError, match="the cluster has evaluator, ps; valid are chief and worker"):
        read(cluster(worker=["a:1", "b:1"], ps=["c:1"], evaluator=["d:1"]))
    for wrong in ({}, {"cluster": {}}, cluster(worker=["a:1"]), [1], {"cluster": 3, "task": {}}):
        with pytest.raises(WorkersError, match=r"TF_CONFIG=.*: cannot be used .*valid is \{"):
            read(wrong)
    with pytest.raises(WorkersError, match="TF_CONFIG is not set; the training operator sets it"):
        Cluster.read({})


def test_a_pipeline_step_that_is_no_worker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert workers("one") is ONE
    with pytest.raises(WorkersError, match="One process alone trains with distribution=one"):
        workers("workers")


class Elsewhere(Workers):
    """One of two workers; the other one's numbers are one higher."""

    def mean(self, values: Sequence[npt.ArrayLike]) -> list[npt.NDArray[Any]]:
        return [np.asarray(value) + 0.5 for value in values]


def test_workers_that_begin_elsewhere_are_refused() -> None:
    network = networks.build(arrays.CONFIG, size=32, classes=2, moments=MOMENTS)
    ONE.check_start(network, TrainState(stage=1, step=3))
    with pytest.raises(WorkersError, match=r"worker 2 of 2: it begins at stage 2, step 3, another elsewhere"):
        Elsewhere(1, 2).check_start(network, TrainState(stage=1, step=3))


def test_workers_drop_features_of_their_own_and_share_batch_norms_statistics() -> None:
    network = networks.build(arrays.CONFIG, size=32, classes=2, moments=MOMENTS)
    networks.freeze(network, arrays.CONFIG, 0)
    before = [np.array(one) for one in networks.rng_variables(network.model)]
    Elsewhere(0, 2).offset_rng_state(network)
    for value, one in zip(before, networks.rng_variables(network.model), strict=True):
        np.testing.assert_array_equal(one, value)
    Elsewhere(1, 2).offset_rng_state(network)
    assert before
    for value, one in zip(before, networks.rng_variables(network.model), strict=True):
        assert not np.array_equal(one, value)
    statistics, weights = [np.array(one) for one in network.statistics()], network.model.trainable_weights
    trained = [np.array(one) for one in weights]
    Elsewhere(1, 2).average_statistics(network)
    assert statistics
    for value, one in zip(statistics, network.statistics(), strict=True):
        np.testing.assert_array_equal(one, value + np.float32(0.5))
    for value, one in zip(trained, weights, strict=True):
        np.testing.assert_array_equal(one, value)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    # The second has all that differs between workers: dropout, changed pictures, batch-norm's statistics.
    everything = SUMS.model_copy(
        update={
            "batch_norm": "train",
            "head": HeadConfig(kind="binary", dropout=0.3),
            "augmentation": AugmentationConfig(mixup=0.2),
            "optimiser": OptimiserConfig(schedule="plateau", finder={"steps": 10, "highest": 0.1}),
            "folds": 2,
            "patience": 1,
        }
    )
    configs = {
        name: config.model_copy(update={"distribution": "workers"}).model_dump(mode="json")
        for name, config in (("sums", SUMS), ("everything", everything))
    }
    program = str(Path(together.__file__))
    said = processes.run(2, [sys.executable, program, str(tmp_path), json.dumps(configs)])
    assert "eval AUC" in said[0]
    assert "eval AUC" not in said[1]
    for name in configs:
        first, second = (_weights(tmp_path / f"{name}-{number}.npz") for number in range(2))
        assert len(first) > 10
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)
    two = _weights(tmp_path / "sums-0.npz")
    together.train(tmp_path, {"sums": SUMS.model_dump(mode="json")}, ONE)
    alone = _weights(tmp_path / "sums-0.npz")
    untrained = arrays.train(
        SUMS.model_copy(update={"stages": (StageConfig(size=32, epochs=0.01),)}), tmp_path
    )
    before = untrained.classifier.members[0].network.model.get_weights()
    assert max(np.abs(a - b).max() for a, b in zip(alone, before, strict=True)) > 1e-3
    for one, other in zip(alone, two, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def _weights(path: Path) -> list[np.ndarray[Any, Any]]:
    with np.load(path) as file:
        return [file[name] for name in file.files]
