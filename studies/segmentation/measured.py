"""How well masks agree: Jaccard and Dice, of two masks, as a loss, and of a SavedModel on real pairs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from core import features, spreadsheet
from core.measures.rates import Interval
from core.records.verdict import Verdict, at_least
from studies.segmentation import pairs
from studies.segmentation.config import SegmentationConfig
from studies.segmentation.segmenter import CONFIDENCE, MASK, SEGMENT

Masks = npt.NDArray[np.bool_]


def jaccard(one: Masks, other: Masks) -> float:
    """Return intersection over union of two masks (bool [h, w]); 1 where both are empty."""
    union = int(np.sum(one | other))
    return float(np.sum(one & other)) / union if union else 1.0


def dice(one: Masks, other: Masks) -> float:
    """Return twice the intersection over the sum of both areas; 1 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2.0 * float(np.sum(one & other)) / total if total else 1.0


def loss(logits: tf.Tensor, lesion: tf.Tensor, share: float) -> tf.Tensor:
    """Return `share` Dice loss (Milletari, Navab, Ahmadi, 3DV 2016, a picture at a time) and the rest cross-entropy.

    `logits` and `lesion` (0 or 1) are float32 [batch, h, w].
    """
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(lesion, logits))
    probability = tf.sigmoid(logits)
    overlap = 2.0 * tf.reduce_sum(probability * lesion, axis=[1, 2]) + 1.0
    total = tf.reduce_sum(probability + lesion, axis=[1, 2]) + 1.0
    return share * tf.reduce_mean(1.0 - overlap / total) + (1.0 - share) * entropy


FILE_NAME: Final = "masks.csv"
_SAMPLES: Final = 2000
_BATCH: Final = 8


class Score(NamedTuple):
    """One picture."""

    image_name: str
    jaccard: float
    dice: float
    lesion_fraction: float
    predicted_fraction: float
    confidence: float


Segment = Callable[[list[bytes]], tuple[list[npt.NDArray[np.bool_]], npt.NDArray[np.float32]]]


def loaded(model: Path) -> Segment:
    """Return a function from encoded pictures to masks (bool, own size) and confidences."""
    answer = tf.saved_model.load(str(model)).signatures[SEGMENT]

    def segment(images: list[bytes]) -> tuple[list[npt.NDArray[np.bool_]], npt.NDArray[np.float32]]:
        outputs = answer(**{features.IMAGE_BYTES: tf.constant(images)})
        return [pairs.mask_of(data) for data in outputs[MASK].numpy()], outputs[CONFIDENCE].numpy()

    # The restored function does not keep its object alive.
    segment.model = answer  # type: ignore[attr-defined]
    return segment


def measure(segment: Segment, rows: Iterable[dict[str, bytes]]) -> list[Score]:
    """Return the scores of records that hold image_name, image and mask."""
    found: list[Score] = []
    rest = iter(rows)
    while batch := list(islice(rest, _BATCH)):
        masks, confidences = segment([row[features.IMAGE] for row in batch])
        for row, mask, confidence in zip(batch, masks, confidences, strict=True):
            truth = pairs.mask_of(row[pairs.MASK])
            found.append(
                Score(
                    row[features.IMAGE_NAME].decode(),
                    jaccard(mask, truth),
                    dice(mask, truth),
                    float(truth.mean()),
                    float(mask.mean()),
                    float(confidence),
                )
            )
    return found


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Return the mean with its 95 % bootstrap interval."""
    array = np.asarray(values, np.float64)
    draw = np.random.default_rng(seed)
    means = draw.choice(array, (_SAMPLES, len(array))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(value=float(array.mean()), low=float(low), high=float(high))


def worst_tenth(found: Sequence[Score]) -> float:
    """Return the mean Jaccard of the worst tenth, of one picture at least."""
    ordered = sorted(score.jaccard for score in found)
    return float(np.mean(ordered[: max(1, len(ordered) // 10)]))


def judge(found: Sequence[Score], config: SegmentationConfig) -> Verdict:
    """Compare the scores with the gate's limits."""
    worst = min(found, key=lambda score: score.jaccard)
    return Verdict(
        gate="model",
        checks=(
            at_least(
                "jaccard",
                float(np.mean([score.jaccard for score in found])),
                config.min_jaccard,
                setting="min_jaccard",
            ),
            at_least(
                "dice", float(np.mean([score.dice for score in found])), config.min_dice, setting="min_dice"
            ),
            at_least(
                "jaccard",
                worst_tenth(found),
                config.min_worst_tenth,
                slice="worst tenth",
                detail=f"the worst is {worst.image_name} with {worst.jaccard:.2f}",
                setting="min_worst_tenth",
            ),
        ),
    )


def save(found: Sequence[Score], folder: Path) -> Path:
    """Write the scores as CSV into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    path.write_text(spreadsheet.table(Score._fields, (one._asdict() for one in found)), newline="")
    return path


def load(folder: Path) -> list[Score]:
    """Read what `save` wrote."""
    with (folder / FILE_NAME).open(newline="") as stream:
        return [
            Score(spreadsheet.plain(row["image_name"]), *(float(row[name]) for name in Score._fields[1:]))
            for row in csv.DictReader(stream)
        ]
