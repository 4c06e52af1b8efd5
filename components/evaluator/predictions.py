"""The model's answer to every image of a data set, with what is known and seen of it: asked once, kept for all."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from core import features, spreadsheet, tfrecord
from core.process import cores

if TYPE_CHECKING:
    from components.evaluator.model import Model
    from components.evaluator.picture import Seen

FILE_NAME: Final = "predictions.csv"
BATCH: Final = 4  # small enough for a core's cache with all views of each picture


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
    skin_tone: str = features.UNKNOWN
    image_quality: str = features.UNKNOWN


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    name: spreadsheet.plain if kind is str else kind for name, kind in get_type_hints(Prediction).items()
}


def predict(
    model: Model, files: Sequence[Path], *, estimate: bool = True
) -> Iterator[tuple[Prediction, bytes]]:
    """Yield the model's answer to each image in TFRecord ``files`` of Examples, in their order, with the image.

    Skin tone and image quality are estimated too unless ``estimate`` is false.

    Raises:
        DamagedRecordsError: a file is not a whole TFRecord file of Examples.
    """
    # Those who only read answers, like the report, wait for no image library.
    from components.evaluator.picture import NOT_SEEN, look

    records = chain.from_iterable(tfrecord.examples(file) for file in files)

    def ask(images: list[bytes]) -> tuple[dict[str, NDArray[Any]], list[Seen]]:
        return model.answer(images), [look(image) if estimate else NOT_SEEN for image in images]

    # A batch for each core, and one more: the model answers one while what is seen of another is estimated.
    pool = ThreadPoolExecutor(cores() + 1)
    pending: deque[tuple[list[dict[str, tfrecord.Values]], list[bytes], Future[Any]]] = deque()
    try:
        for batch in _batches(records):
            images = [bytes(tfrecord.first(item, features.IMAGE)) for item in batch]
            pending.append((batch, images, pool.submit(ask, images)))
            if len(pending) > cores() + 1:
                yield from _rows(*pending.popleft())
        while pending:
            yield from _rows(*pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _rows(
    batch: list[dict[str, tfrecord.Values]], images: list[bytes], asked: Future[Any]
) -> Iterator[tuple[Prediction, bytes]]:
    outputs, looks = asked.result()
    for index, (item, image, seen) in enumerate(zip(batch, images, looks, strict=True)):
        prediction = Prediction(
            image_name=tfrecord.text(item, features.IMAGE_NAME, features.UNKNOWN),
            source=tfrecord.text(item, features.SOURCE, features.UNKNOWN),
            target=int(tfrecord.first(item, features.TARGET)),
            probability=float(outputs[features.PROBABILITY][index]),
            threshold=float(outputs[features.THRESHOLD][index]),
            out_of_distribution=float(outputs[features.OUT_OF_DISTRIBUTION][index]),
            diagnosis=tfrecord.text(item, features.DIAGNOSIS, features.UNKNOWN),
            sex=tfrecord.text(item, features.SEX, features.UNKNOWN),
            age_band=features.age_band(tfrecord.first(item, features.AGE)),
            anatom_site=tfrecord.text(item, features.SITE, features.UNKNOWN),
            model_version=outputs[features.MODEL_VERSION][index].decode(),
            **seen._asdict(),
        )
        yield prediction, image


def _batches(records: Iterator[dict[str, tfrecord.Values]]) -> Iterator[list[dict[str, tfrecord.Values]]]:
    while batch := list(islice(records, BATCH)):
        yield batch


def save(predictions: Iterable[Prediction], folder: Path) -> Path:
    """Write the predictions as CSV into ``folder``."""
    path = folder / FILE_NAME
    path.write_text(spreadsheet.table(Prediction._fields, (one._asdict() for one in predictions)), newline="")
    return path


def load(folder: Path) -> list[Prediction]:
    """Read what :func:`save` wrote."""
    with (folder / FILE_NAME).open(newline="") as stream:
        return [
            Prediction(**{key: _READERS[key](value) for key, value in row.items()})
            for row in csv.DictReader(stream)
        ]


def arrays(predictions: Sequence[Prediction]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the labels and the probabilities, each of shape [n]."""
    return (
        np.array([item.target for item in predictions], dtype=np.int64),
        np.array([item.probability for item in predictions], dtype=np.float64),
    )
