"""The retrain flow: a frozen network's bottlenecks, cached; a new head; a final test; the list of mistakes.

Source: TensorFlow's image retraining example (tensorflow/hub, examples/image_retraining/retrain.py), whose options
these are. Any random change of the pictures turns the cache off, as there: each step then asks the network.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from pydantic import Field

from components.trainer.data.records import Split
from components.trainer.fit.callbacks import EpochLog
from components.trainer.fit.history import Epoch, History, Scores, scores
from components.trainer.fit.loop import Loop, StagePlan, TrainState, Weights
from components.trainer.model.backbones import registry
from components.trainer.progress import Progress
from components.trainer.settings import OptimiserConfig
from core import spreadsheet
from core.files import cached_arrays
from core.measures.summary import Measures, measure
from core.settings import Frozen
from studies.frozen_features import FeatureExtractor

Floats = npt.NDArray[np.float32]
Percent = Annotated[int, Field(ge=0, le=90)]


class RetrainConfig(Frozen):
    """The flow's options, under the names it gives them."""

    backbone: str = Field(default="inception_v3", description="a name of the backbone registry")
    weights: str = Field(default="imagenet", description="imagenet, none, or PATH#sha256=HEX")
    size: int = Field(default=299, ge=75, le=600, description="side of the pictures, px")
    learning_rate: float = Field(default=0.01, gt=0, description="of gradient descent on the head")
    steps: int = Field(default=4000, ge=1, description="of training")
    batch_size: int = Field(default=100, ge=1, description="pictures a step")
    eval_every: int = Field(default=100, ge=1, description="steps between two evaluations on eval")
    flip_left_right: bool = Field(default=False, description="mirror half of the training pictures")
    random_crop: Percent = Field(default=0, description="margin to crop at random, percent of the side")
    random_scale: Percent = Field(default=0, description="most to enlarge, percent")
    random_brightness: Percent = Field(default=0, description="most to brighten or darken, percent")
    seed: int = Field(default=17, ge=0, description="of everything that is drawn")

    @property
    def distorts(self) -> bool:
        """Whether training pictures change from step to step, so that bottlenecks cannot be kept."""
        return self.flip_left_right or any((self.random_crop, self.random_scale, self.random_brightness))


@dataclass(frozen=True)
class Retrained:
    """What the flow leaves."""

    weights: str
    history: list[tuple[int, Epoch]]
    """Steps taken, and what eval said."""
    test: Measures
    accuracy: float
    misclassified: list[tuple[str, int, float]]
    """(image_name, target, probability), the surest mistakes first."""
    seconds: float


def retrain(
    config: RetrainConfig, splits: dict[str, Split], cache: Path, progress: Progress, samples: int = 1000
) -> Retrained:
    """Train the head on `train`, evaluate on `eval` on the way, test once on `test`.

    Raises:
        WeightsFileError, ValueError: weights that do not fit, a size the network cannot take.
    """
    started = time.monotonic()
    keras.utils.set_random_seed(config.seed)
    backbone = registry.build(
        config.backbone, size=config.size, weights=config.weights, on_missing_weights="random"
    )
    extract = FeatureExtractor.pooled(backbone, config.size)
    kept = ("eval", "test") if config.distorts else ("train", "eval", "test")
    inputs = {name: _bottlenecks(extract, splits[name], config, cache, progress) for name in kept}
    scale = inputs["eval"].std(axis=0).mean() or 1.0  # one number: rates then mean the same for any network
    learner = _HeadLearner(config.learning_rate, inputs["eval"] / scale, splits["eval"].targets)
    history = History(cache, kept=False)
    plan = StagePlan(
        name="head",
        number=0,
        size=config.size,
        epochs=config.steps / config.eval_every,
        per_epoch=config.eval_every,
        steps=config.steps,
    )

    def batches() -> Iterator[tuple[Floats, Floats]]:
        train, draw = splits["train"], np.random.default_rng(config.seed)
        while True:
            rows = draw.integers(0, len(train), config.batch_size)
            if config.distorts:
                values = extract(_distorted(train.pictures[rows], config, draw))
            else:
                values = inputs["train"][rows]
            yield values / scale, train.targets[rows, None].astype(np.float32)

    constant = OptimiserConfig(schedule="constant", warmup=0.0)
    loop = Loop(
        learner, constant, config.batch_size, [EpochLog(history, progress)], progress, sees_images=False
    )
    loop.run(TrainState(), plan, batches())
    last = learner.answers(inputs["test"] / scale)
    test, on_test = splits["test"], last.astype(np.float64)
    wrong = np.flatnonzero((on_test >= 0.5) != (test.targets == 1))
    wrong = wrong[np.argsort(-np.abs(on_test[wrong] - 0.5))]
    return Retrained(
        weights=backbone.weights,
        history=[(min(row.epoch * config.eval_every, config.steps), row) for row in history.epochs],
        test=measure(test.targets, on_test, 0.5, samples=samples, confidence=0.95),
        accuracy=float(np.mean((on_test >= 0.5) == (test.targets == 1))),
        misclassified=[(test.names[row], int(test.targets[row]), float(on_test[row])) for row in wrong],
        seconds=time.monotonic() - started,
    )


def write_misclassified(found: Retrained, path: Path) -> None:
    """Write the list of mistakes on test as CSV."""
    rows = [
        {"image_name": name, "target": target, "probability": f"{value:.4f}"}
        for name, target, value in found.misclassified
    ]
    path.write_text(spreadsheet.table(("image_name", "target", "probability"), rows), newline="")


class _HeadLearner:
    """One logistic unit on bottlenecks, trained by plain gradient descent, as the loop sees it."""

    def __init__(self, rate: float, evaluation: Floats, targets: npt.NDArray[np.int64]) -> None:
        self._evaluation, self._targets = evaluation, targets
        self._head = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros")])
        self._head.build((None, evaluation.shape[1]))
        self._head.compile(
            keras.optimizers.SGD(rate), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
        )

    def step(self, batch: tuple[Floats, Floats], factor: float) -> float:  # noqa: ARG002 - the rate is constant
        """Take one step; return the loss before it."""
        return float(self._head.train_on_batch(*batch))

    def weights(self) -> Weights:
        """Return kernel and bias."""
        return [np.array(value) for value in self._head.get_weights()]

    def answers(self, values: Floats) -> Floats:
        """Return the probability of each row."""
        return np.asarray(tf.sigmoid(self._head(values))[:, 0], np.float32)

    def evaluate(self) -> Scores:
        """Return the figures on eval."""
        return scores(self._targets, self.answers(self._evaluation))


def _bottlenecks(
    extract: FeatureExtractor, split: Split, config: RetrainConfig, cache: Path, progress: Progress
) -> Floats:
    about = f"{config.backbone} {config.size} {_key(extract.model)} {split.fingerprint} {len(split)} {split.names[0]}"

    def made() -> dict[str, Floats]:
        tick = "%s: bottlenecks of %d of %d images"
        return {
            "values": extract(split.pictures, lambda done: progress.tick(tick, split.name, done, len(split)))
        }

    key = hashlib.sha256(about.encode()).hexdigest()[:24]
    return np.asarray(
        cached_arrays(cache / f"bottlenecks-{split.name}-{key}.npz", made)["values"], np.float32
    )


def _distorted(
    pictures: npt.NDArray[np.uint8], config: RetrainConfig, draw: np.random.Generator
) -> tf.Tensor:
    """Flip, crop, scale and brighten as the flow does: float32 [batch, size, size, 3] in 0..255."""
    margin = 1.0 + config.random_crop / 100
    changed = []
    for picture in pictures:
        large = round(config.size * margin * (1.0 + draw.uniform(0, config.random_scale / 100)))
        pixels = tf.image.resize(picture, [large, large], antialias=True)
        top, left = (int(draw.integers(0, large - config.size + 1)) for _ in range(2))
        pixels = pixels[top : top + config.size, left : left + config.size]
        if config.flip_left_right and draw.random() < 0.5:
            pixels = pixels[:, ::-1]
        light = 1.0 + draw.uniform(-1, 1) * config.random_brightness / 100
        changed.append(tf.clip_by_value(pixels * light, 0.0, 255.0))
    return tf.stack(changed)


def _key(model: keras.Model) -> str:
    """Hash of the weights: a cache must not outlive them."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
