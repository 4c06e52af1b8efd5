"""One rung of the first study's ladder: trained by the product's own staged training, measured on one test set."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import keras
import numpy as np
from pydantic import Field

from components.trainer.config import TrainerConfig
from components.trainer.data.records import Split, read_split, spread, write_predictions
from components.trainer.fit.backup import Backup
from components.trainer.fit.history import History
from components.trainer.fit.staged import StagedTraining
from components.trainer.fit.task import Task, TrainContext
from components.trainer.model import classes
from components.trainer.model.classifier import Classifier, predict
from components.trainer.model.network import Moments, Weights
from components.trainer.progress import Progress
from core.features import SPLITS
from core.files import replacing
from core.measures.auc import auc_interval
from core.measures.rates import Interval
from core.settings import Frozen

_MOMENTS_FROM: Final = 512  # pictures
PREDICTIONS: Final = "predictions.csv"
_LONG: Final = 10.0  # minutes: from here on a killed rung goes on where it was


class Scores(Frozen):
    """What the study's file scored in the competition."""

    private: float | None = Field(description="AUC on the private part of the competition's test set")
    public: float | None = Field(description="AUC on the public part")


class Experiment(Frozen):
    """One experiment of the study, as its preset says."""

    title: str = Field(description="what is tried, as the study says it")
    network: str = Field(description="family; its rungs share a chart")
    study: Scores = Field(description="what the study got")
    warm_start: str | None = Field(default=None, description="the rung whose weights are the first ones")
    trainer: TrainerConfig = Field(description="the training")


class ExperimentResult(Frozen):
    """What came of a rung."""

    name: str
    title: str
    network: str
    study: Scores
    key: str = Field(description="hash of everything that decides the result")
    parameters: int
    weights: str = Field(description="where the first weights came from")
    auc: Interval
    false_negatives: int = Field(description="positives of test below a probability of one half")
    true_negatives: int = Field(description="negatives of test below a probability of one half")
    positives: int
    images: int = Field(description="of test")
    epochs: float = Field(description="passes over the training images")
    wanted_epochs: float = Field(description="passes that the preset asks for")
    steps: int
    seconds: float
    minutes_allowed: float | None
    history: tuple[dict[str, float], ...]

    @property
    def cut_short(self) -> bool:
        """Whether the budget ended the training before the preset's epochs."""
        return self.epochs < 0.99 * self.wanted_epochs


@dataclass(frozen=True)
class Splits:
    """What every rung of a run shares: the three splits at one size, and the seed."""

    train: Split
    evaluation: Split
    test: Split
    seed: int


def limited(split: Split, count: int | None, seed: int) -> Split:
    """Return `count` images of a split, both labels in their shares and at least four of each where there are."""
    if count is None or count >= len(split):
        return split
    draw = np.random.default_rng([seed, len(split)])
    positive, negative = (np.flatnonzero(split.targets == label) for label in (1, 0))
    wanted = min(len(positive), max(4, round(count * len(positive) / len(split))))
    rows = np.sort(
        np.concatenate(
            [draw.permutation(positive)[:wanted], draw.permutation(negative)[: max(4, count - wanted)]]
        )
    )
    digest = hashlib.sha256(f"{split.fingerprint} {rows.tolist()}".encode()).hexdigest()
    return replace(split.only(rows), fingerprint=digest)


def read_splits(
    data: Path, size: int, cache: Path, train: int | None, others: int | None, seed: int, progress: Progress
) -> dict[str, Split]:
    """Return the splits of an ingested data set at `size` px, cut to `train` and to `others` images; None is all.

    Raises:
        DataError: as `read_split`.
    """
    splits = {}
    for name in SPLITS:
        files = [str(data / name / "*.tfrecord.gz")]
        whole = read_split(name, files, size=size, cache_dir=cache, progress=progress)
        splits[name] = limited(whole, train if name == "train" else others, seed)
    return splits


def key(rung: Experiment, splits: Splits, minutes: float | None, before: str) -> str:
    """Return a hash of everything that decides a rung's result; `before` is the key of its warm start."""
    about = [
        rung.trainer.model_dump(mode="json", exclude={"cache_dir"}),
        splits.seed,
        minutes,
        before,
        *(split.fingerprint for split in (splits.train, splits.evaluation, splits.test)),
    ]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]


def run_experiment(
    name: str,
    rung: Experiment,
    splits: Splits,
    *,
    minutes: float | None,
    own_key: str,
    folder: Path,
    initial: Weights | None,
    progress: Progress,
) -> tuple[ExperimentResult, Weights]:
    """Train one rung and measure it on test; returns its weights for the rung that starts from them.

    Without `minutes` it takes as long as its epochs do. `own_key` is its `key`; `folder` gets history, backup and the
    predictions on test; `initial` are the weights of the rung before, if this one starts from them.
    """
    config = rung.trainer.model_copy(update={"seed": splits.seed, "max_minutes": minutes})
    keras.utils.set_random_seed(config.seed)
    chosen = classes.choose(config.head, splits.train.targets, splits.train.diagnoses)
    labels = classes.encode(chosen, splits.train.targets, splits.train.diagnoses)
    weights = classes.class_weights(config.loss, labels, len(chosen), None)
    moments = _moments(splits.train)
    history = History(folder)
    # A backup is three times the network, 2 GB for the base CNN: a short rung is rather trained again.
    backup = Backup(folder / f"backup-{own_key}.npz")
    kept = backup if minutes is None or minutes >= _LONG else None
    task = Task(chosen, moments, splits.train, splits.evaluation, labels, weights)
    training = StagedTraining(config, task, TrainContext(folder, history, kept, progress), initial=initial)
    (*_, member) = training.members()
    classifier = Classifier((member,), chosen, config.tta, config.neutral_light)
    shares = predict(classifier, splits.test.pictures, progress, "test")
    positive = np.asarray(chosen.positive) == 1
    probabilities = shares.class_probabilities[:, positive].sum(axis=1).astype(np.float64)
    write_predictions(folder / PREDICTIONS, splits.test, probabilities)
    per_epoch = max(1, len(labels) // config.batch_size)
    backup.clear()
    measured = ExperimentResult(
        name=name,
        title=rung.title,
        network=rung.network,
        study=rung.study,
        key=own_key,
        parameters=member.network.model.count_params(),
        weights=f"from rung {rung.warm_start}" if initial is not None else training.weights_from,
        auc=auc_interval(splits.test.targets, probabilities),
        false_negatives=int(np.sum((splits.test.targets == 1) & (probabilities < 0.5))),
        true_negatives=int(np.sum((splits.test.targets == 0) & (probabilities < 0.5))),
        positives=int(splits.test.targets.sum()),
        images=len(splits.test),
        epochs=training.steps / per_epoch,
        wanted_epochs=sum(stage.epochs for stage in config.stages),
        steps=training.steps,
        # Of a rung that was killed and went on, all of it.
        seconds=sum(row.seconds for row in history.epochs),
        minutes_allowed=minutes,
        history=tuple(
            {
                "epoch": float(number),
                "loss": row.loss,
                "eval_auc": row.figures["eval_auc"],
                "false_negatives": float(row.figures["false_negatives"]),
                "seconds": row.seconds,
            }
            for number, row in enumerate(history.epochs, start=1)
        ),
    )
    return measured, member.network.weights()


def save_weights(weights: Weights, path: Path) -> None:
    """Keep a rung's weights for the rung that starts from them."""
    with replacing(path, cache=True) as file:
        np.savez(file, *weights)


def load_weights(path: Path) -> Weights:
    """Read what `save_weights` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return [file[f"arr_{number}"] for number in range(len(file.files))]


def _moments(train: Split) -> Moments:
    """Channel mean and deviation of (a sample of) the training split, as Transform computes them of all."""
    pixels = np.asarray(train.pictures[spread(len(train), _MOMENTS_FROM)], np.float64)
    red, green, blue = pixels.mean(axis=(0, 1, 2)).tolist()
    of_red, of_green, of_blue = np.maximum(pixels.std(axis=(0, 1, 2)), 1.0).tolist()
    return Moments((red, green, blue), (of_red, of_green, of_blue))
