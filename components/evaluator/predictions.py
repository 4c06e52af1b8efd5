"""The model's answer to every test image, kept for the report: the one pass over `test` besides TFMA's."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.evaluator.picture import look
from core.features import (
    AGE,
    DIAGNOSIS,
    IMAGE,
    IMAGE_BYTES,
    IMAGE_NAME,
    MODEL_VERSION,
    OUT_OF_DISTRIBUTION,
    PROBABILITY,
    SEX,
    SITE,
    SOURCE,
    TARGET,
    THRESHOLD,
    UNKNOWN,
    age_band,
)

FILE_NAME: Final = "predictions.csv"
BATCH: Final = 32


class Prediction(NamedTuple):
    """One test image, what is known of it, and the model's answer."""

    image_name: str
    source: str
    target: int
    probability: float
    threshold: float
    out_of_distribution: float
    diagnosis: str
    sex: str
    age_band: str
    anatom_site: str
    model_version: str
    skin_tone: str = UNKNOWN
    image_quality: str = UNKNOWN


_COLUMN_TYPES: Final[dict[str, Callable[[str], Any]]] = {
    "target": int,
    "probability": float,
    "threshold": float,
    "out_of_distribution": float,
}


def predict(model_dir: Path, files: Sequence[Path]) -> Iterator[Prediction]:
    """Yield the answers of ``serving_default`` to the images in TFRecord ``files``, in their order."""
    model = tf.saved_model.load(str(model_dir))
    answer = model.signatures["serving_default"]
    records = tf.data.TFRecordDataset([str(file) for file in files], compression_type="GZIP")
    for batch in records.batch(BATCH).prefetch(1):
        features = [tf.train.Example.FromString(record).features.feature for record in batch.numpy()]
        images = tf.constant([item[IMAGE].bytes_list.value[0] for item in features])
        outputs = {key: value.numpy() for key, value in answer(**{IMAGE_BYTES: images}).items()}
        for index, item in enumerate(features):
            yield Prediction(
                image_name=_text(item, IMAGE_NAME),
                source=_text(item, SOURCE),
                target=int(item[TARGET].int64_list.value[0]),
                probability=float(outputs[PROBABILITY][index]),
                threshold=float(outputs[THRESHOLD][index]),
                out_of_distribution=float(outputs[OUT_OF_DISTRIBUTION][index]),
                diagnosis=_text(item, DIAGNOSIS),
                sex=_text(item, SEX),
                age_band=age_band(_number(item, AGE)),
                anatom_site=_text(item, SITE),
                model_version=outputs[MODEL_VERSION][index].decode(),
                **look(item[IMAGE].bytes_list.value[0])._asdict(),
            )


def save(predictions: Sequence[Prediction], folder: Path) -> Path:
    """Write the predictions as CSV into ``folder``."""
    path = folder / FILE_NAME
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(Prediction._fields)
        writer.writerows(predictions)
    return path


def load(folder: Path) -> list[Prediction]:
    """Read what :func:`save` wrote."""
    with (folder / FILE_NAME).open(newline="") as stream:
        return [
            Prediction(**{key: _COLUMN_TYPES.get(key, str)(value) for key, value in row.items()})
            for row in csv.DictReader(stream)
        ]


def arrays(predictions: Sequence[Prediction]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the labels and the probabilities, each of shape [n]."""
    return (
        np.array([item.target for item in predictions], dtype=np.int64),
        np.array([item.probability for item in predictions], dtype=np.float64),
    )


def _text(features: Any, name: str) -> str:
    values = features[name].bytes_list.value if name in features else ()
    return values[0].decode() if values else "unknown"


def _number(features: Any, name: str) -> float | None:
    values = features[name].float_list.value if name in features else ()
    return float(values[0]) if values else None
