"""What raises the AUC on pictures of other cameras: short trainings with and without each candidate.

    python -m benchmarks.unseen_cameras train OWN ELSEWHERE OUT [--seeds 1 2 3] [--size 128] [--epochs 3] [--only NAME ...]
    python -m benchmarks.unseen_cameras table OUT

OWN and ELSEWHERE are ingested data sets; of ELSEWHERE nothing is fitted on. Every candidate is the `full` preset's
first stage, cut to a few epochs, with some settings changed; candidates take turns, one seed each a round, so that
what else runs on the machine falls on all of them. A training writes its answers when it ends, and one that is there
is not run again. Two candidates need no training of their own: the mean of the weights of the last two epochs, and
batch-norm statistics that are half those of the pictures asked about.

table: paired differences of the AUC from `base` of the same seed, DeLong's on each set, and their mean over the seeds,
whose variance is taken as that of one seed's: the images are the same ones.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.measuring import command_line, markdown, row
from components.trainer.config import TrainerConfig
from components.trainer.data import metadata as metadata_of
from components.trainer.data.records import Split, read_columns, read_split
from components.trainer.export import readout
from components.trainer.fit.backup import Arrays, Backup
from components.trainer.fit.history import History
from components.trainer.fit.loop import Weights
from components.trainer.fit.staged import StagedTraining
from components.trainer.fit.task import Task, TrainContext
from components.trainer.model import classes
from components.trainer.model import network as networks
from components.trainer.model.classifier import Classifier, Member, predict
from components.trainer.model.network import Moments, Network
from components.trainer.progress import Progress
from components.transform import images
from core.measures.auc import auc, compare
from pipeline.config import load

BASE, MEAN, NORM = "base", "mean of the last two epochs", "batch-norm of the pictures"
_CAMERA: Final = {
    "colour": 0.2, "gamma": 0.3, "illumination": 0.3, "vignette": 0.5, "sharpness": 1.5, "blur": 0.2,
    "jpeg": (50, 100), "noise": 4.0, "corners": 0.15, "ruler": 0.15,
}  # fmt: skip
_OKLAB: Final = {"tint": 0.04, "chroma": 0.35, "lightness": 0.3}
# What each changes of the augmentation, and of the rest of the Trainer's settings.
CANDIDATES: Final[Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]] = {
    BASE: ({}, {}),
    "camera model": (_CAMERA, {}),
    "OKLab": ({**_OKLAB, "colour": 0.0, "saturation": 0.0, "gamma": 0.0}, {}),
    "camera model and OKLab": ({**_CAMERA, **_OKLAB}, {}),
    "MixStyle": ({"mixstyle": 0.5}, {}),
    "field of view and scale": ({"zoom": (0.45, 1.3), "aspect": 0.2}, {}),
    "moving average of weights": ({}, {"optimiser": {"ema": 0.99}}),
    "metadata, hidden half the time": ({}, {"head": {"metadata": True}}),
}
_NORM_BATCH: Final = 64


class _EpochWeights(Backup):
    """A backup that keeps the weights at the end of each epoch, and writes nothing."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.kept: dict[int, Weights] = {}

    def save(self, state: Mapping[str, Any], arrays: Arrays) -> None:
        """Keep the first weights that come after an epoch."""
        self.kept.setdefault(state["state"]["epoch"], arrays["weights"])

    def load(self) -> None:
        """Find nothing: a training that was stopped begins again."""


def configured(name: str, seed: int, size: int, epochs: float) -> TrainerConfig:
    """Return a candidate's settings."""
    base = load("full").trainer.model_dump()
    augmentation, rest = CANDIDATES[name]
    given = {
        **base,
        "stages": [{"size": size, "epochs": epochs, "test_size": size * 5 // 4}],
        "max_minutes": None,
        "tta": 1,
        "neutral_light": False,  # it needs a second view
        "seed": seed,
        "augmentation": {**base["augmentation"], **augmentation},
        **{part: {**base[part], **changes} for part, changes in rest.items()},
    }
    return TrainerConfig.model_validate(given)


def _network(config: TrainerConfig, task: Task, weights: Weights) -> Network:
    network = networks.build(
        config,
        size=None,
        classes=len(task.classes),
        moments=task.moments,
        metadata=task.metadata,
        weights="none",
        fast=False,
    )
    network.model.set_weights(weights)
    return network


def _adapted(network: Network, pictures: npt.NDArray[np.uint8], size: int) -> None:
    """Move batch-norm statistics half of the way to those of these pictures; no label is looked at."""
    batches = range(0, len(pictures), _NORM_BATCH)
    norms = [layer for layer in network.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable, layer.momentum = True, 0.5 ** (1 / len(batches))
    for start in batches:
        network(images.view(tf.constant(pictures[start : start + _NORM_BATCH]), size), training=True)
    for layer in norms:
        layer.trainable = False


def _run(
    name: str, seed: int, size: int, epochs: float, splits: Mapping[str, Split], own: Path, out: Path
) -> None:
    """Train one candidate with one seed and write its answers, and those of the candidates made from it."""
    started = time.monotonic()
    config = configured(name, seed, size, epochs)
    train, evaluation = splits["train"], splits["eval"]
    chosen = classes.choose(config.head, train.targets, train.diagnoses)
    metadata = vectors = None
    if config.head.metadata:
        columns = read_columns([str(own / "train" / "*.tfrecord.gz")])
        metadata = metadata_of.fit(columns)
        vectors = metadata.of(columns)
    labels = classes.encode(chosen, train.targets, train.diagnoses)
    task = Task(
        classes=chosen,
        moments=Moments((127.5,) * 3, (127.5,) * 3),  # this backbone standardises by itself
        train=train,
        evaluation=evaluation,
        labels=labels,
        class_weights=classes.class_weights(config.loss, labels, len(chosen), None),
        metadata=metadata,
        metadata_features=vectors,
    )
    keras.utils.set_random_seed(seed)
    kept = _EpochWeights()
    with tempfile.TemporaryDirectory() as scratch:
        context = TrainContext(Path(scratch), History(Path(scratch)), kept)
        (snapshot,) = StagedTraining(config, task, context).run()
    network = _network(config, task, snapshot.weights)
    _write(out, name, seed, config, task, dict.fromkeys(("eval", "test", "elsewhere"), network), splits)
    if name == BASE:
        last = [kept.kept[number] for number in sorted(kept.kept)[-2:]]
        mean = _network(config, task, [np.mean(parts, axis=0) for parts in zip(*last, strict=True)])
        _write(out, MEAN, seed, config, task, dict.fromkeys(("eval", "test", "elsewhere"), mean), splits)
        adapted = {"eval": network}
        for what in ("test", "elsewhere"):
            adapted[what] = _network(config, task, snapshot.weights)
            _adapted(adapted[what], splits[what].pictures, snapshot.size)
        _write(out, NORM, seed, config, task, adapted, splits)
    print(f"{name}, seed {seed}: {time.monotonic() - started:.0f} s", flush=True)


def _write(
    out: Path,
    name: str,
    seed: int,
    config: TrainerConfig,
    task: Task,
    network_for: Mapping[str, Network],
    splits: Mapping[str, Split],
) -> None:
    asked = {
        what: predict(
            Classifier((Member(network, config.sides[-1]),), task.classes, 1), splits[what].pictures
        ).class_probabilities
        for what, network in network_for.items()
    }
    read = readout.fit(task.classes, task.evaluation.targets, asked["eval"], config.head.others)
    answers = {what: read(tf.constant(found)).numpy() for what, found in asked.items()}
    areas = {what: round(auc(splits[what].targets, found), 4) for what, found in answers.items()}
    print(name, seed, areas, flush=True)
    columns: dict[str, Any] = {
        **answers,
        **{f"{what}_labels": splits[what].targets for what in answers},
        "about": np.array(json.dumps({"name": name, "seed": seed})),
    }
    part = out / ".part.npz"
    np.savez(part, **columns)
    part.replace(_file(out, name, seed))


def _file(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.replace(' ', '-').replace(',', '')}.{seed}.npz"


def train_all(
    own: Path, elsewhere: Path, out: Path, seeds: list[int], size: int, epochs: float, only: list[str]
) -> None:
    """Train what is not there yet, a seed of every candidate before the next seed of any."""
    out.mkdir(parents=True, exist_ok=True)
    decoded = load("full").trainer.image_size
    splits = {
        name: read_split(
            name, [str(folder / pattern)], size=decoded, cache_dir=out / "pictures", progress=Progress()
        )
        for name, folder, pattern in (
            ("train", own, "train/*.tfrecord.gz"),
            ("eval", own, "eval/*.tfrecord.gz"),
            ("test", own, "test/*.tfrecord.gz"),
            ("elsewhere", elsewhere, "*/*.tfrecord.gz"),
        )
    }
    for seed in seeds:
        for name in only or CANDIDATES:
            if not _file(out, name, seed).exists():
                _run(name, seed, size, epochs, splits, own, out)


def table(out: Path) -> None:
    """Print what each candidate changed."""
    found: dict[str, dict[int, Any]] = {}
    for path in sorted(out.glob("*.npz")):
        with np.load(path) as file:
            about = json.loads(str(file["about"]))
            found.setdefault(about["name"], {})[about["seed"]] = {key: file[key] for key in file.files}
    change = "change (95 %)"
    print(markdown(("candidate", "seeds", "own test AUC", change, "elsewhere AUC", change), rule="---"))
    for name in (*CANDIDATES, MEAN, NORM):
        runs = {seed: run for seed, run in found.get(name, {}).items() if seed in found.get(BASE, {})}
        if not runs:
            continue
        cells = [name, str(len(runs))]
        for what in ("test", "elsewhere"):
            labels = [run[f"{what}_labels"] for run in runs.values()]
            areas = [auc(truth, run[what]) for truth, run in zip(labels, runs.values(), strict=True)]
            cells.append(f"{np.mean(areas):.3f}")
            tests = [
                compare(run[f"{what}_labels"], found[BASE][seed][what], run[what])
                for seed, run in runs.items()
            ]
            difference = float(np.mean([test.difference for test in tests]))
            half = float(np.mean([(test.high - test.low) / 2 for test in tests]))
            among = " ".join(f"{test.difference:+.3f}" for test in tests)
            shown = f"{difference:+.3f} ({difference - half:+.3f} to {difference + half:+.3f}); {among}"
            cells.append("" if name == BASE else shown)
        print(row(cells))


def main() -> None:
    """Trains or prints."""
    parser = command_line(__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    train = commands.add_parser("train")
    train.add_argument("own", type=Path, help="ingested data set that is trained on and tested on")
    train.add_argument(
        "elsewhere", type=Path, help="ingested data set of other cameras; all of it is asked about"
    )
    train.add_argument("out", type=Path, help="folder of answers and decoded pictures")
    train.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    train.add_argument(
        "--size", type=int, default=128, help="side of the training pictures, px; tested at 5/4 of it"
    )
    train.add_argument("--epochs", type=float, default=3.0)
    train.add_argument("--only", nargs="+", default=[], choices=list(CANDIDATES))
    commands.add_parser("table").add_argument("out", type=Path, help="folder of answers")
    arguments = parser.parse_args()
    if arguments.what == "table":
        table(arguments.out)
    else:
        del arguments.what
        train_all(**vars(arguments))


if __name__ == "__main__":
    main()
