"""Does segmentation help? One classifier on whole images, and on images cut by the true and the predicted mask.

The masks are the U-Net's out-of-fold: the network that cuts an image never saw it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from pydantic import Field, ValidationError

from components.trainer.progress import Progress
from core import features
from core.files import write_atomic
from core.measures.auc import auc, auc_interval, compare
from core.measures.rates import Interval, mcnemar, rate_of
from core.settings import Frozen
from studies.segmentation import measured, training
from studies.segmentation import pairs as pair_files
from studies.segmentation.classifiers import FifthBlock, FrozenLinear, Labels
from studies.segmentation.config import SegmentationConfig
from studies.segmentation.pairs import Loaded
from studies.segmentation.segmenter import Segmenter

VARIANTS: Final = ("unaltered", "true mask", "predicted mask")
SIZE: Final = 224

Pictures = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


class Arm(Frozen):
    """One of the three, over all held-out folds."""

    variant: str
    auc: Interval
    auc_of_folds: float = Field(
        description="mean of the folds' AUCs: answers of different folds are never compared in it"
    )
    accuracy: Interval
    sensitivity: Interval
    specificity: Interval
    difference: Interval | None = Field(description="of the AUC from the unaltered images, DeLong")
    p_auc: float | None = Field(description="DeLong's two-sided p-value against the unaltered images")
    p_accuracy: float | None = Field(description="McNemar's exact p-value against the unaltered images")


class Result(Frozen):
    """The experiment with one classifier."""

    classifier: str
    weights: str
    images: int
    positives: int
    folds: int
    arms: tuple[Arm, ...]
    sentence: str


@dataclass(frozen=True)
class Material:
    """Pictures and masks at one size, and the rows of each fold."""

    pictures: Pictures  # uint8 [n, SIZE, SIZE, 3]
    truth: Masks  # bool [n, SIZE, SIZE]
    predicted: Masks  # bool [n, SIZE, SIZE], out-of-fold
    targets: Labels  # int64 [n]
    rows: list[tuple[Indices, Indices]]
    jaccard: npt.NDArray[np.float64]  # of each predicted mask at SIZE


def check(files: Sequence[Path], count: int) -> None:
    """Check whether there are labels enough for the folds, before anything is trained.

    Raises:
        ValueError: labels are unknown or too few.
    """
    folds(np.array([row[features.TARGET] for row in pair_files.records(files)], np.int64), count, 0)


def material(
    files: Sequence[Path], config: SegmentationConfig, count: int, seed: int, progress: Progress
) -> Material:
    """Read the pairs and predict every mask by a U-Net that was trained on the other folds.

    Raises:
        ValueError: labels are unknown or too few.
    """
    large = pair_files.load(files, SIZE, SIZE)
    small = pair_files.load(files, config.height, config.width)
    rows = folds(large.targets, count, seed)
    predicted = np.zeros(large.masks.shape, bool)
    for number, (training_rows, held_out) in enumerate(rows):
        progress.line("U-Net of fold %d of %d: %d pairs", number + 1, count, len(training_rows))
        trained = training.train(config, *_inner(small, training_rows, seed), progress=progress)
        predicted[held_out] = _enlarged(trained.segmenter, small.pictures[held_out])
    truth = large.masks > 127
    jaccard = np.array([measured.jaccard(one, other) for one, other in zip(predicted, truth, strict=True)])
    progress.line("out-of-fold Jaccard %.4f", jaccard.mean())
    return Material(large.pictures, truth, predicted, large.targets, rows, jaccard)


def run(given: Material, classifier: FrozenLinear | FifthBlock, seed: int, progress: Progress) -> Result:
    """Return the three arms: same folds, same classifier, same budget."""
    variants = {
        VARIANTS[0]: given.pictures,
        VARIANTS[1]: cut(given.pictures, given.truth),
        VARIANTS[2]: cut(given.pictures, given.predicted),
    }
    answers: dict[str, npt.NDArray[np.float64]] = {}
    for name, pictures in variants.items():
        inputs = classifier.extract(pictures)
        found = np.zeros(len(given.targets))
        for rows, held_out in given.rows:
            found[held_out] = classifier.fit_predict(
                inputs[rows], given.targets[rows], inputs[held_out], seed
            )
        answers[name] = found
        progress.line("%s, %s: AUC %.4f", classifier.name, name, auc(given.targets, found))
    arms = tuple(_arm(name, given, answers) for name in VARIANTS)
    return Result(
        classifier=classifier.name,
        weights=classifier.weights,
        images=len(given.targets),
        positives=int(given.targets.sum()),
        folds=len(given.rows),
        arms=arms,
        sentence=sentence(arms, len(given.targets)),
    )


def cut(pictures: Pictures, masks: Masks) -> Pictures:
    """Return the pictures with everything outside the masks black, as the study did."""
    return np.where(masks[..., None], pictures, 0).astype(np.uint8)


def sentence(arms: Sequence[Arm], images: int) -> str:
    """Say what the table shows, and no more."""
    parts = []
    for arm in arms[1:]:
        assert arm.difference is not None and arm.p_auc is not None  # noqa: S101, PT018 - set for these arms
        word = "raises" if arm.difference.value > 0 else "lowers"
        if arm.p_auc < 0.05 / (len(arms) - 1):
            verdict = f"{word} the AUC by {abs(arm.difference.value):.3f}"
        else:
            verdict = (
                f"does not change the AUC by more than chance would ({arm.difference.value:+.3f}, "
                f"95 % {arm.difference.low:+.3f} to {arm.difference.high:+.3f})"
            )
        parts.append(f"cutting by the {arm.variant} {verdict}, p = {arm.p_auc:.3f}")
    text = f"On {images} images {'; '.join(parts)}"
    return f"{text} (DeLong, paired; p below 0.025 counts, as two comparisons were made)."


def _arm(name: str, given: Material, answers: dict[str, npt.NDArray[np.float64]]) -> Arm:
    values, targets = answers[name], given.targets
    called, positive = values >= 0.5, targets == 1
    reference = answers[VARIANTS[0]]
    test = compare(targets, reference, values) if name != VARIANTS[0] else None
    return Arm(
        variant=name,
        auc=auc_interval(targets, values),
        auc_of_folds=float(np.mean([auc(targets[held_out], values[held_out]) for _, held_out in given.rows])),
        accuracy=rate_of(called == positive),
        sensitivity=rate_of(called[positive]),
        specificity=rate_of(~called[~positive]),
        difference=Interval(value=test.difference, low=test.low, high=test.high) if test else None,
        p_auc=test.p if test else None,
        p_accuracy=mcnemar(targets, reference >= 0.5, called)[2] if test else None,
    )


def _inner(small: Loaded, rows: npt.NDArray[np.int64], seed: int) -> tuple[Loaded, Loaded]:
    """A tenth of the training folds chooses epoch and threshold."""
    order = np.random.default_rng([seed, len(rows)]).permutation(rows)
    kept = max(1, len(rows) // 10)
    return small.take(np.sort(order[kept:])), small.take(np.sort(order[:kept]))


def _enlarged(segmenter: Segmenter, pictures: Pictures) -> Masks:
    masks = segmenter.small_masks(pictures).astype(np.float32)[..., None]
    return np.asarray(tf.image.resize(masks, [SIZE, SIZE]).numpy()[..., 0] >= 0.5)


def folds(targets: npt.NDArray[np.int64], count: int, seed: int) -> list[tuple[Indices, Indices]]:
    """Return (training rows, held-out rows) of each fold; every row is held out once.

    Raises:
        ValueError: labels are unknown, or one has fewer rows than there are folds.
    """
    if (targets < 0).any():
        raise ValueError("the experiment needs every label: a pairs.csv with image_name and target")
    draw = np.random.default_rng(seed)
    place = np.empty(len(targets), np.int64)
    for target in np.unique(targets):
        rows = np.flatnonzero(targets == target)
        if len(rows) < count:
            raise ValueError(
                f"{count} folds need {count} images of each label, there are {len(rows)} of label {target}"
            )
        place[draw.permutation(rows)] = np.arange(len(rows)) % count
    return [(np.flatnonzero(place != fold), np.flatnonzero(place == fold)) for fold in range(count)]


FILE_NAME: Final = "experiment.json"


class SegmentationStudy(Frozen):
    """The results of every part that was run under one set of options."""

    about: dict[str, Any] = Field(description="data version, folds, epochs of a fold's U-Net, seed")
    unet_run: str | None = Field(default=None, description="the run that trained the released U-Net")
    out_of_fold_jaccard: float | None = Field(default=None, description="of the masks that cut")
    results: tuple[Result, ...] = Field(default=(), description="one a classifier")

    @classmethod
    def load(cls, folder: Path, about: dict[str, Any]) -> SegmentationStudy:
        """Return what :meth:`save` wrote under these options; nothing yet where they were others."""
        try:
            found = cls.model_validate_json((folder / FILE_NAME).read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return cls(about=about)
        if found.about == about:
            return found
        same_data = found.about.get("data_version") == about["data_version"]
        return cls(about=about, unet_run=found.unet_run if same_data else None)

    def save(self, folder: Path) -> None:
        """Write it into the study's folder."""
        write_atomic(folder / FILE_NAME, self.model_dump_json(indent=1) + "\n")

    def with_result(self, result: Result, out_of_fold_jaccard: float) -> SegmentationStudy:
        """Return it with a classifier's result, in place of an earlier one of the same classifier."""
        others = tuple(one for one in self.results if one.classifier != result.classifier)
        return self.model_copy(
            update={"results": (*others, result), "out_of_fold_jaccard": out_of_fold_jaccard}
        )
