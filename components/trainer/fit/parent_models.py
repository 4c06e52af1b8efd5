"""The pushed versions a training builds on: first weights, and the teacher of one network."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from components.trainer.config import TrainerConfig
from components.trainer.data import metadata as metadata_of
from components.trainer.data.records import DataError, Split
from components.trainer.model import network as networks
from components.trainer.model.backbones import h5_file, weights
from components.trainer.model.backbones.backbone import WeightsFileError
from components.trainer.model.backbones.weights import version_file, version_folder
from components.trainer.model.classes import Classes
from components.trainer.model.classifier import Classifier, Member, predict
from components.trainer.model.network import Moments
from components.trainer.progress import Progress
from core.files import cached_arrays
from core.hashing import FACTS, file_hash


def check(config: TrainerConfig, data_version: str, grown_from: Collection[str] = ()) -> tuple[str, ...]:
    """One sentence for the log a pushed version of other data that `allow_other_data` lets through.

    Data that have `grown_from` earlier versions keep all groups of those in their splits: a model of such a version
    was never trained on a test image.

    Raises:
        DataError: a version was trained on other data, and nothing says that this is meant.
        WeightsFileError: there is no such version, or it does not say what it was trained on.
    """
    allowed = []
    for key, spec in (("weights", config.weights), ("distil_from", config.distil_from or "")):
        if not spec.startswith(weights.PUSHED):
            continue
        theirs = weights.version_data(weights.version_folder(spec))
        if theirs == data_version or theirs in grown_from:
            continue
        said = f"{key}={spec} was trained on data version {theirs[:12]}, this is {data_version[:12]}"
        if not config.allow_other_data:
            raise DataError(
                f"{said}: these are other splits, so it may have been trained on lesions of this test split, whose "
                "figures would be too good; name a version trained on this data, or, only where none of that "
                "version's training lesions can be in this test split, set trainer.allow_other_data=true"
            )
        allowed.append(f"{said}; allow_other_data says that none of its lesions is in this test split")
    return tuple(allowed)


def load_teacher(folder: Path) -> tuple[Classifier, int]:
    """The networks of a pushed version as they were trained, and the side of the picture they are shown.

    Raises:
        WeightsFileError: no pushed version, or one of another release of this software.
    """
    weights = version_file(folder)
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    try:
        config = TrainerConfig.model_validate(facts["config"])
    except ValidationError as error:
        raise WeightsFileError(
            f"{folder}: its configuration cannot be read by this release ({error.error_count()} settings); "
            "train the teacher with this one"
        ) from error
    names, positive = zip(*((one["name"], float(one["positive"])) for one in facts["classes"]), strict=True)
    classes = Classes(names, positive, 0)
    prepared = facts["preprocessing"]
    moments = Moments(tuple(prepared["channel_mean"]), tuple(prepared["channel_std"]))
    known = facts.get("metadata")
    metadata = None if known is None else metadata_of.Metadata(tuple(known["sites"]))
    members = []
    for number, one in enumerate(facts["backbone"]["members"]):
        network = networks.build(
            config,
            size=one["size"],
            classes=len(classes),
            moments=moments,
            metadata=metadata,
            weights="none",
            taps=config.frozen.blocks if config.strategy == "frozen" else 0,
            fast=False,
        )
        h5_file.assign(network.model, weights, number)
        members.append(Member(network, one["size"]))
    # Versions of before this setting do not say it.
    views = facts["backbone"]["tta"], facts["backbone"].get("neutral_light", False)
    return Classifier(tuple(members), classes, *views), int(prepared["size"])


def teacher_answers(
    spec: str, classes: Classes, train: Split, cache_dir: Path, progress: Progress
) -> npt.NDArray[np.float32]:
    """The teacher's class probabilities for every training picture, float32 [n, classes], kept on disk.

    Raises:
        WeightsFileError: `spec`, `pushed:<SavedModel folder>`, names no version, or one of other classes or sizes.
    """
    folder = version_folder(spec)
    version = file_hash(version_file(folder))
    classifier, size = load_teacher(folder)
    order = _order(spec, classifier.classes, classes)
    if size != train.pictures.shape[1]:
        raise WeightsFileError(
            f"distil_from={spec}: the teacher looks at pictures of {size} px, image_size is "
            f"{train.pictures.shape[1]}: set image_size={size}"
        )
    path = cache_dir / f"teacher-{version[:16]}-{train.fingerprint[:16]}.npz"
    if path.exists():
        progress.line("the teacher's answers to %d images from the cache", len(train))

    def made() -> dict[str, npt.NDArray[np.float32]]:
        found = predict(classifier, train.pictures, progress, "the teacher's answers").class_probabilities
        progress.line("the teacher (%d networks) answered %d images", len(classifier.members), len(train))
        return {"class_probabilities": found}

    return np.asarray(cached_arrays(path, made)["class_probabilities"][:, order])


def _order(spec: str, teacher: Classes, student: Classes) -> list[int]:
    """Which of the teacher's outputs is which of the student's."""
    theirs = dict(zip(teacher.names, teacher.positive, strict=True))
    ours = dict(zip(student.names, student.positive, strict=True))
    if theirs != ours:
        raise WeightsFileError(
            f"distil_from={spec}: the teacher knows {', '.join(teacher.names)}, this data gives "
            f"{', '.join(student.names)}: train the teacher on this data with the same head"
        )
    return [teacher.names.index(name) for name in student.names]
