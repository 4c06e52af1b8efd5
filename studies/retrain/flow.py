"""The retrain flow: a frozen network's bottlenecks, cached; a new head; a final test; the list of mistakes.

Source: TensorFlow's image retraining example (tensorflow/hub, examples/image_retraining/retrain.py), whose options
these are. Any random change of the pictures turns the cache off, as there: each step then asks the network.
"""

from __future__ import annotations

import csv
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from pydantic import BaseModel, ConfigDict, Field

from components.trainer.data.records import Split
from components.trainer.model.backbones import registry
from components.trainer.progress import Progress
from components.transform import images
from core import spreadsheet
from core.measures.auc import auc
from core.measures.summary import Measures, measure

Floats = npt.NDArray[np.float32]
Percent = Annotated[int, Field(ge=0, le=90)]

_BATCH: Final = 16


class RetrainConfig(BaseModel):
    """The flow's options, under the names it gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class EvalPoint(BaseModel):
    """One evaluation on eval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    loss: float
    eval_auc: float
    false_negatives: int


@dataclass(frozen=True)
class Retrained:
    """What the flow leaves."""

    weights: str
    eval_points: list[EvalPoint]
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
    model = keras.Model(backbone.inputs, keras.layers.GlobalAveragePooling2D()(backbone.features))
    extract = tf.function(lambda pixels: model(pixels, training=False), reduce_retracing=True)
    kept = ("eval", "test") if config.distorts else ("train", "eval", "test")
    inputs = {
        name: _bottlenecks(extract, splits[name], config, _key(model), cache, progress) for name in kept
    }
    scale = inputs["eval"].std(axis=0).mean() or 1.0  # one number: rates then mean the same for any network
    train = splits["train"]
    draw = np.random.default_rng(config.seed)
    head, rates = tf.Variable(tf.zeros([model.output_shape[-1], 1])), config.learning_rate
    eval_points: list[EvalPoint] = []
    bias = tf.Variable(tf.zeros([1]))
    total = 0.0
    for step in range(1, config.steps + 1):
        rows = draw.integers(0, len(train), config.batch_size)
        if config.distorts:
            values = extract(_distorted(train.pictures[rows], config, draw)).numpy()
        else:
            values = inputs["train"][rows]
        total += _descend(head, bias, values / scale, train.targets[rows], rates)
        if step % config.eval_every == 0 or step == config.steps:
            answers = _answers(head, bias, inputs["eval"] / scale)
            positive = splits["eval"].targets == 1
            eval_points.append(
                EvalPoint(
                    step=step,
                    loss=total / (step - (eval_points[-1].step if eval_points else 0)),
                    eval_auc=auc(splits["eval"].targets, answers),
                    false_negatives=int(np.sum(positive & (answers < 0.5))),
                )
            )
            total = 0.0
            progress.line(
                "step %d of %d  loss %.4f  eval AUC %.4f",
                step,
                config.steps,
                eval_points[-1].loss,
                eval_points[-1].eval_auc,
            )
    last = _answers(head, bias, inputs["test"] / scale)
    test, on_test = splits["test"], last.astype(np.float64)
    wrong = np.flatnonzero((on_test >= 0.5) != (test.targets == 1))
    wrong = wrong[np.argsort(-np.abs(on_test[wrong] - 0.5))]
    return Retrained(
        weights=backbone.weights,
        eval_points=eval_points,
        test=measure(test.targets, on_test, 0.5, samples=samples, confidence=0.95),
        accuracy=float(np.mean((on_test >= 0.5) == (test.targets == 1))),
        misclassified=[(test.names[row], int(test.targets[row]), float(on_test[row])) for row in wrong],
        seconds=time.monotonic() - started,
    )


def write_misclassified(found: Retrained, path: Path) -> None:
    """Write the list of mistakes on test as CSV."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image_name", "target", "probability"])
        for name, target, value in found.misclassified:
            writer.writerow((spreadsheet.cell(name), target, f"{value:.4f}"))


def _descend(head: Any, bias: Any, values: Floats, targets: npt.NDArray[np.int64], rate: float) -> float:
    """One step of gradient descent on the cross-entropy; returns the loss before it."""
    logits = (values @ head.numpy() + bias.numpy())[:, 0]
    error = 1 / (1 + np.exp(-np.clip(logits, -50, 50))) - targets
    head.assign_sub(tf.constant(rate * (values.T @ error)[:, None] / len(targets), tf.float32))
    bias.assign_sub(tf.constant([rate * float(error.mean())], tf.float32))
    return float(np.mean(np.logaddexp(0, logits) - targets * logits))


def _answers(head: Any, bias: Any, values: Floats) -> Floats:
    logits = (values @ head.numpy() + bias.numpy())[:, 0]
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))), np.float32)


def _bottlenecks(
    extract: Any, split: Split, config: RetrainConfig, weights: str, cache: Path, progress: Progress
) -> Floats:
    about = f"{config.backbone} {config.size} {weights} {split.fingerprint} {len(split)} {split.names[0]}"
    path = cache / f"bottlenecks-{split.name}-{hashlib.sha256(about.encode()).hexdigest()[:24]}.npy"
    if path.exists():
        progress.line("%s: bottlenecks of %d images from the cache", split.name, len(split))
        return np.asarray(np.load(path))
    rows = []
    for start in range(0, len(split), _BATCH):
        batch = tf.constant(np.ascontiguousarray(split.pictures[start : start + _BATCH]))
        rows.append(extract(images.view(batch, config.size)).numpy())
        progress.tick("%s: bottlenecks of %d of %d images", split.name, start, len(split))
    found = np.asarray(np.concatenate(rows), np.float32)
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, found)
    part.replace(path)
    return found


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
