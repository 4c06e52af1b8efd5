"""From split records to trained networks and their answers: what the Trainer and the Tuner share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_transform as tft

from components.trainer.config import TrainerConfig
from components.trainer.data import metadata as metadata_of
from components.trainer.data.records import Columns, Split, matching, read_columns, read_split
from components.trainer.fit import folds, frozen, parent_models
from components.trainer.fit.folds import Fold, OutOfFold
from components.trainer.fit.staged import StagedTraining
from components.trainer.fit.task import Task, TrainContext
from components.trainer.model import classes
from components.trainer.model.classifier import Classifier, InferenceGraph, Member, Outputs, predict
from components.trainer.model.network import Moments
from components.trainer.progress import Progress
from components.transform.preprocessing import CHANNEL_MEAN, CHANNEL_STD

_TRAIN_SAMPLE = 2000  # enough for the covariance of its 64 components


@dataclass(frozen=True)
class Data:
    """Both splits and what is known about them; columns are read where a setting needs them."""

    train: Split
    evaluation: Split
    moments: Moments
    gate: Mapping[str, Any]
    train_columns: Columns | None = None
    eval_columns: Columns | None = None

    @property
    def version(self) -> str:
        """The data set's SHA-256; that of the training files where no gate has named one."""
        return str(self.gate.get("data_version", self.train.fingerprint))


@dataclass(frozen=True)
class Answers:
    """The classifier's answers on eval, and features of (a sample of) train: rows of `sample`.

    `with_metadata` are the answers on eval of networks with a metadata branch that know the metadata;
    `out_of_fold` those of members to the part of train that they left out.
    """

    evaluation: Outputs
    sample: npt.NDArray[np.int64]
    sample_features: npt.NDArray[np.float32]
    graph: InferenceGraph
    with_metadata: Outputs | None = None
    out_of_fold: OutOfFold | None = None


def read(fn_args: Any, config: TrainerConfig, cache_dir: Path, progress: Progress) -> Data:
    """Both splits of a Trainer's or Tuner's `fn_args`.

    Raises:
        DataError: data that cannot be trained on.
    """
    size = config.image_size
    train = read_split("train", fn_args.train_files, size=size, cache_dir=cache_dir, progress=progress)
    evaluation = read_split("eval", fn_args.eval_files, size=size, cache_dir=cache_dir, progress=progress)
    moments = read_moments(fn_args.transform_output, fn_args.train_files)
    metadata, folded = config.head.metadata, config.folds > 0
    return Data(
        train,
        evaluation,
        moments,
        getattr(fn_args, "hyperparameters", None) or {},
        read_columns(fn_args.train_files) if metadata or folded else None,
        read_columns(fn_args.eval_files) if metadata else None,
    )


def read_moments(transform_output: str, files: Any) -> Moments:
    """Transform's channel moments: constants of its graph, so any one record shows them."""
    output = tft.TFTransformOutput(transform_output)
    layer = output.transform_features_layer()
    record = tf.data.TFRecordDataset(matching(files), compression_type="GZIP").take(1)
    spec = output.raw_feature_spec()
    row = next(iter(record.batch(1).map(lambda one: layer(tf.io.parse_example(one, spec)))))
    return Moments(
        tuple(float(v) for v in row[CHANNEL_MEAN][0].numpy()),  # type: ignore[arg-type]
        tuple(float(v) for v in row[CHANNEL_STD][0].numpy()),  # type: ignore[arg-type]
    )


def train(config: TrainerConfig, data: Data, context: TrainContext) -> tuple[Classifier, Answers]:
    """Trains by `config.strategy`; returns the networks that vote, and their answers.

    Raises:
        DataError: data that cannot be trained on.
        WeightsFileError, WeightsUnavailableError: first weights, or a teacher, that cannot be had.
        WorkersError: workers that cannot train together.
    """
    progress = context.progress
    with context.workers.chief_first():  # a teacher's answers are kept on disk
        task = _task(config, data, context)
    progress.line(
        f"training {config.backbone} ({config.strategy}) on {len(task.train)} images, eval {len(task.evaluation)}; "
        f"classes {', '.join(task.classes.names)}"
    )
    draw = np.random.default_rng(config.seed)
    count = len(task.train)
    sample = np.sort(draw.choice(count, min(_TRAIN_SAMPLE, count), replace=False))
    if config.strategy == "frozen":
        network, outputs = frozen.train(config, task, context)
        classifier = Classifier((Member(network, config.frozen.size),), task.classes, config.frozen.flips)
        with progress.phase("evaluation"):
            graph = InferenceGraph(classifier, config.image_size)
        return classifier, Answers(outputs["eval"], sample, outputs["train"].features[sample], graph)
    out_of_fold = None
    with progress.phase("training"):
        if config.folds:
            members, out_of_fold = _folded(config, task, data, context)
        else:
            members = StagedTraining(config, task, context).members()
    with progress.phase("evaluation"):
        classifier, answers = _answers(config, task, data, members, sample, progress)
    return classifier, replace(answers, out_of_fold=out_of_fold)


def _answers(
    config: TrainerConfig,
    task: Task,
    data: Data,
    members: tuple[Member, ...],
    sample: npt.NDArray[np.int64],
    progress: Progress,
) -> tuple[Classifier, Answers]:
    """Ask the trained networks about eval and a sample of train."""
    classifier = Classifier(members, task.classes, config.tta, config.neutral_light)
    graph = InferenceGraph(classifier, config.image_size)
    # Whose features the out-of-distribution detector uses.
    first = Classifier(members[:1], task.classes, 1)
    first_graph = graph if len(members) == config.tta == 1 else InferenceGraph(first, config.image_size)
    pictures = task.evaluation.pictures
    with_metadata = None
    if task.metadata is not None and data.eval_columns is not None:
        vectors = task.metadata.of(data.eval_columns)
        with_metadata = predict(
            classifier, pictures, progress, "eval with metadata", graph, metadata_features=vectors
        )
    return classifier, Answers(
        predict(classifier, pictures, progress, "eval", graph),
        sample,
        predict(first, task.train.pictures[sample], progress, "features of train", first_graph).features,
        graph,
        with_metadata,
    )


def _folded(
    config: TrainerConfig, task: Task, data: Data, context: TrainContext
) -> tuple[tuple[Member, ...], OutOfFold]:
    """One training without each part of train; each answers the part it left out."""
    assert data.train_columns is not None  # noqa: S101 - read() reads them for folds
    groups = data.train_columns.groups
    numbers = folds.split(groups, task.train.targets, config.folds, config.seed)
    class_probabilities = np.zeros([len(task.train), len(task.classes)], np.float32)
    members: list[Member] = []
    for number in range(config.folds):
        # A seed of its own, so that members differ in more than their data; the time is shared.
        minutes = config.max_minutes and config.max_minutes / config.folds
        own = config.model_copy(update={"seed": config.seed + number, "max_minutes": minutes})
        keras.utils.set_random_seed(own.seed)
        inside, outside = np.flatnonzero(numbers != number), np.flatnonzero(numbers == number)
        backed_up = replace(context, backup=context.backup and context.backup.of(f"fold{number}"))
        fold = Fold(number, f"fold {number + 1} of {config.folds}  ")
        found = StagedTraining(own, task.only(inside), backed_up, fold=fold).members()
        voting = Classifier(found, task.classes, config.tta, config.neutral_light)
        class_probabilities[outside] = predict(
            voting, task.train.only(outside).pictures, context.progress, f"fold {number + 1}, left out"
        ).class_probabilities
        members += found
    return tuple(members), OutOfFold(class_probabilities, numbers, groups)


def _task(config: TrainerConfig, data: Data, context: TrainContext) -> Task:
    train = data.train
    chosen = classes.choose(config.head, train.targets, train.diagnoses)
    labels = classes.encode(chosen, train.targets, train.diagnoses)
    gate = data.gate.get("class_weights")
    weights = classes.class_weights(
        config.loss, labels, len(chosen), {int(k): float(v) for k, v in gate.items()} if gate else None
    )
    task = Task(chosen, data.moments, train, data.evaluation, labels, weights)
    if data.train_columns is not None and config.head.metadata:
        metadata = metadata_of.fit(data.train_columns)
        task = replace(task, metadata=metadata, metadata_features=metadata.of(data.train_columns))
    if config.distil_from:
        soft = parent_models.teacher_answers(
            config.distil_from, chosen, train, context.cache_dir, context.progress
        )
        task = replace(task, soft=soft)
    return task
