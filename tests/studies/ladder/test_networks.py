"""The ladder's networks and one rung of it, on made-up lesions."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from components.trainer.config import TrainerConfig
from components.trainer.data.records import Split
from components.trainer.progress import Progress
from components.trainer.settings import HeadConfig, LossConfig, OptimiserConfig, StageConfig
from studies.ladder import networks as ladder
from studies.ladder.networks import Experiment, Scores, Splits


def split(name: str, count: int, seed: int) -> Split:
    draw = np.random.default_rng(seed)
    targets = (np.arange(count) % 4 == 0).astype(np.int64)
    pictures = draw.integers(140, 220, (count, 48, 48, 3)).astype(np.uint8)
    pictures[targets == 1, 12:36, 12:36] //= 3
    return Split(
        name, pictures, tuple(f"{name}{i}" for i in range(count)), targets, ("",) * count, f"{name}{seed}"
    )


GROUND = Splits(split("train", 48, 1), split("eval", 24, 2), split("test", 24, 3), seed=5)


def tiny(**changes: object) -> Experiment:
    config = TrainerConfig(
        strategy="from_scratch",
        backbone="tiny_cnn",
        weights="none",
        batch_norm="train",
        image_size=48,
        batch_size=8,
        stages=(StageConfig(size=48, epochs=2),),
        head=HeadConfig(kind="sigmoid", layout="flatten_dense", units=(16,), dropout=0.1),
        loss=LossConfig(label_smoothing=0.0, sampling="none"),
        optimiser=OptimiserConfig(name="adam", head_learning_rate=3e-3, body_learning_rate=3e-3),
    )
    return Experiment(
        title="tiny", network="tiny", study=Scores(private=None, public=None), trainer=config, **changes
    )


def test_a_limited_split_keeps_both_labels_and_repeats_itself() -> None:
    found, again = (ladder.limited(GROUND.train, 20, 7) for _ in range(2))
    assert len(found) == 20
    assert found.targets.sum() == 5
    assert found.fingerprint == again.fingerprint != GROUND.train.fingerprint
    np.testing.assert_array_equal(found.pictures, again.pictures)
    assert ladder.limited(GROUND.train, None, 7) is GROUND.train


def test_a_rung_is_trained_measured_and_starts_the_next_one(tmp_path: Path) -> None:
    progress = Progress(io.StringIO())
    first, weights = ladder.run_experiment(
        "a", tiny(), GROUND, minutes=None, own_key="a", folder=tmp_path / "a", initial=None, progress=progress
    )
    assert first.epochs == 2
    assert not first.cut_short
    assert first.steps == 12
    assert [row["epoch"] for row in first.history] == [1.0, 2.0]
    assert first.false_negatives + first.true_negatives <= first.images == 24
    ladder.save_weights(weights, tmp_path / "a.npz")
    kept = ladder.load_weights(tmp_path / "a.npz")
    assert all(np.array_equal(one, other) for one, other in zip(weights, kept, strict=True))
    second, moved = ladder.run_experiment(
        "b",
        tiny(warm_start="a"),
        GROUND,
        minutes=0.0001,
        own_key="b",
        folder=tmp_path / "b",
        initial=kept,
        progress=progress,
    )
    assert second.cut_short
    assert second.steps == 1
    assert second.weights == "from rung a"
    # One step from the first rung's weights: nearer to them than any random start could be.
    assert max(np.abs(one - other).max() for one, other in zip(kept, moved, strict=True)) < 0.2


def test_a_key_changes_with_everything_that_decides() -> None:
    plain = ladder.key(tiny(), GROUND, 1.0, "")
    assert plain == ladder.key(tiny(), GROUND, 1.0, "")
    assert len({plain, ladder.key(tiny(), GROUND, 2.0, ""), ladder.key(tiny(), GROUND, 1.0, "x")}) == 3
