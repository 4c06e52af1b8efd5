"""Batches, backup, clock, schedules and losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.trainer.config import TrainerConfig
from components.trainer.data.batches import Batches, cache_size
from components.trainer.data.metadata import Metadata
from components.trainer.fit import optimisation
from components.trainer.fit.backup import Backup
from components.trainer.fit.loop import Clock
from components.trainer.model.classifier import in_batches
from components.trainer.settings import LossConfig, OptimiserConfig, StageConfig

LABELS = np.array([0] * 90 + [1] * 10, np.int32)
PICTURES = np.zeros((100, 16, 16, 3), np.uint8)


def batches(**loss: object) -> Batches:
    config = TrainerConfig(
        strategy="fine_tune",
        batch_size=20,
        loss=LossConfig(**loss),
        image_size=32,
        stages=(StageConfig(size=16, epochs=1),),
    )
    return Batches(PICTURES, LABELS, 2, 16, config)


def test_an_epoch_is_the_same_for_the_same_stage_and_number() -> None:
    one, other = batches(), batches()
    np.testing.assert_array_equal(one.order(1, 2), other.order(1, 2))
    assert (one.order(1, 2) != one.order(1, 3)).any()
    assert (one.order(1, 2) != one.order(2, 2)).any()


def test_power_sampling_draws_rare_classes_more_often() -> None:
    share = np.mean([LABELS[batches(sampling="power", power=-1.0).order(0, e)].mean() for e in range(40)])
    assert share == pytest.approx(0.5, abs=0.05)
    plain = batches(sampling="none").order(0, 0)
    assert sorted(plain.tolist()) == list(range(100))


def test_batches_come_augmented_with_one_hot_labels() -> None:
    batch = next(iter(batches().dataset(0, 0, 0)))
    assert batch.pixels.shape == (20, 16, 16, 3)
    np.testing.assert_allclose(tf.reduce_sum(batch.targets, axis=1), np.ones(20))
    assert batch.metadata_features.shape == batch.soft.shape == (20, 0)


def test_mixup_mixes_all_that_is_known_of_two_images_alike() -> None:
    vectors = np.eye(100, Metadata(("back",)).width, dtype=np.float32)[np.arange(100) % 4]
    config = TrainerConfig.model_validate(
        {
            "strategy": "fine_tune", "batch_size": 20, "image_size": 32,
            "stages": [{"size": 16, "epochs": 1}], "augmentation": {"mixup": 1.0},
            "head": {"metadata": True, "metadata_dropout": 0.0},
        }
    )  # fmt: skip
    labels = (np.arange(100) % 4).astype(np.int32)
    given = Batches(
        PICTURES,
        labels,
        4,
        16,
        config,
        metadata=Metadata(("back",)),
        metadata_features=vectors,
        soft=vectors[:, :4],
    )
    batch = next(iter(given.dataset(0, 0, 0)))
    shares = batch.targets.numpy()
    assert ((shares > 0.01) & (shares < 0.99)).any()
    np.testing.assert_allclose(batch.metadata_features[:, :4], batch.targets, atol=1e-6)
    np.testing.assert_allclose(batch.soft, batch.targets, atol=1e-6)


def test_a_stream_can_be_joined_at_any_step() -> None:
    whole = [batch.targets.numpy() for batch in batches().dataset(0, 0, 0).take(8)]
    joined = [batch.targets.numpy() for batch in batches().dataset(0, 0, 3).take(5)]
    np.testing.assert_array_equal(whole[3:], joined)


def test_cache_size_is_one_up_and_never_above_the_decoded_size() -> None:
    assert [cache_size(s, 224) for s in (128, 160, 192, 224)] == [160, 200, 224, 224]


def test_a_backup_is_read_as_it_was_written_and_survives_a_torn_write(tmp_path: Path) -> None:
    backup = Backup(tmp_path / "deep" / "state.npz")
    assert backup.load() is None
    arrays = {"weights": [np.arange(12.0).reshape(3, 4)] * 12, "best": [np.ones(2)]}
    backup.save({"epoch": 3}, arrays)
    (tmp_path / "deep" / "state.part").write_bytes(b"torn")
    loaded = backup.load()
    assert loaded is not None
    state, found = loaded
    assert state == {"epoch": 3}
    assert [len(found[name]) for name in ("weights", "best")] == [12, 1]
    np.testing.assert_array_equal(found["weights"][11], arrays["weights"][11])
    backup.path.write_bytes(b"PK\x03\x04 cut off")
    assert backup.load() is None
    backup.clear()
    assert not backup.path.exists()


def test_time_is_shared_by_pixels_and_epochs() -> None:
    stages = (StageConfig(size=128, epochs=4), StageConfig(size=256, epochs=1))
    assert Clock(None).budget(stages, 0) is None
    assert Clock(10.0).budget(stages, 0) == pytest.approx(300, rel=0.01)
    assert Clock(10.0, spent=240).budget(stages, 1) == pytest.approx(360, rel=0.01)
    # Interrupted after 240 of its 300 seconds, a stage still ends at 300.
    assert Clock(10.0, spent=240).budget(stages, 0, done=240) == pytest.approx(300, rel=0.01)


@pytest.mark.parametrize("schedule", ["cosine", "constant", "step", "cyclic", "plateau"])
def test_rates_rise_and_stay_within_the_peak(schedule: str) -> None:
    config = OptimiserConfig(schedule=schedule, warmup=0.1)
    rates = [optimisation.rate(config, p) for p in np.linspace(0, 1, 101)]
    assert rates[0] < 0.01
    assert rates[5] == pytest.approx(0.5)
    assert max(rates) <= 1.0 + 1e-9
    assert min(rates[10:]) >= config.final - 1e-9
    if schedule == "cosine":
        assert rates[-1] == pytest.approx(config.final)


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "dice"])
def test_losses_are_smaller_for_the_right_answer(kind: str) -> None:
    labels = tf.one_hot([0, 1, 1], 2)
    weights = tf.constant([1.0, 1.0])
    right = optimisation.loss(LossConfig(kind=kind), 4 * labels, labels, weights)
    wrong = optimisation.loss(LossConfig(kind=kind), -4 * labels, labels, weights)
    assert right < wrong


def test_cross_entropy_by_hand() -> None:
    logits = tf.constant([[1.0, 3.0], [0.0, 0.0]])
    labels = tf.one_hot([1, 0], 2)
    found = optimisation.loss(LossConfig(label_smoothing=0.0), logits, labels, tf.constant([2.0, 1.0]))
    by_hand = (np.log(1 + np.exp(-2.0)) + 2 * np.log(2.0)) / 2
    assert float(found) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimiser_moves_both_parts_at_their_own_rate(name: str) -> None:
    import keras

    body, head = keras.Variable(np.ones((2, 2))), keras.Variable(np.ones((2, 2)))
    config = OptimiserConfig(name=name, body_learning_rate=1e-3, head_learning_rate=1e-1, weight_decay=0.0)
    rule = optimisation.Optimiser(config, [body], [head])
    rule.apply([tf.ones([2, 2]), tf.ones([2, 2])], tf.constant(1.0))
    moved = [1 - float(v.numpy()[0, 0]) for v in (body, head)]
    assert moved[1] / moved[0] == pytest.approx(100, rel=0.05)
    rule.apply([tf.fill([2, 2], 1e9), tf.ones([2, 2])], tf.constant(0.0))
    assert np.isfinite(head.numpy()).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adamw_moves_as_keras_does(dtype: str) -> None:
    import keras

    start = np.random.default_rng(1).normal(size=(7, 5)).astype(dtype)
    ours, theirs = keras.Variable(start), keras.Variable(start)
    rules = [
        (kind(1e-2, weight_decay=0.1), variable)
        for kind, variable in ((optimisation.AdamW, ours), (keras.optimizers.AdamW, theirs))
    ]
    for number in range(5):
        gradient = tf.constant(np.random.default_rng([2, number]).normal(size=(7, 5)), tf.float32)
        for rule, variable in rules:
            rule.apply([gradient], [variable])
    assert np.abs(ours.numpy() - start).max() > 1e-3
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_answers_come_in_the_order_of_the_rows_and_of_all_of_them() -> None:
    rows = np.arange(21, dtype=np.float32)[:, None]
    done: list[int] = []
    doubled, same = in_batches(lambda batch: (2.0 * batch, batch), [rows], 4, done.append)
    np.testing.assert_array_equal(doubled, 2.0 * rows)
    np.testing.assert_array_equal(same, rows)
    assert done == [4, 8, 12, 16, 20, 21]


def test_a_batch_that_fails_ends_the_asking() -> None:
    def graph(batch: tf.Tensor) -> tuple[tf.Tensor]:
        tf.debugging.assert_less(batch, 8.0, message="too large")
        return (batch,)

    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        in_batches(graph, [np.arange(1000, dtype=np.float32)], 4)
