"""Pictures and masks: from a folder to TFRecords, and back as arrays."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.ingest.errors import IngestError
from components.transform import images
from core import features, tfrecord
from core.files import read_json

UNKNOWN: Final = -1  # target of a pair without a label
MASK: Final = "mask"  # bytes, PNG of the picture's size, lesion where not 0
MANIFEST: Final = "pairs.json"
_PICTURES: Final = (".jpg", ".jpeg", ".png")
_SHARES: Final = {"train": 0.75, "eval": 0.10, "test": 0.15}
_ENDINGS: Final = ("", "_segmentation", "_Segmentation", "_mask", "_lesion")


@dataclass(frozen=True)
class Pair:
    """One picture with its mask, as files."""

    name: str
    image: Path
    mask: Path
    target: int
    """1 = melanoma, 0 = not, UNKNOWN."""


def find(folder: Path) -> list[Pair]:
    """Return the pairs of a folder with `images/` and `masks/`; labels from `pairs.csv` or `metadata.csv`.

    A mask is called like its picture, or with `_segmentation`, `_mask` or `_lesion` behind the name.

    Raises:
        IngestError: no such folders, or no pair in them.
    """
    for name in ("images", "masks"):
        if not (folder / name).is_dir():
            raise IngestError(f"{folder}: no folder {name}/ there; pairs lie in images/ and masks/")
    masks = {path.stem: path for path in (folder / "masks").iterdir() if path.suffix.lower() in _PICTURES}
    targets = _targets(folder)
    pairs = []
    for image in sorted((folder / "images").iterdir()):
        if image.suffix.lower() not in _PICTURES:
            continue
        mask = next((masks[image.stem + ending] for ending in _ENDINGS if image.stem + ending in masks), None)
        if mask is not None:
            pairs.append(Pair(image.stem, image, mask, targets.get(image.stem, UNKNOWN)))
    if not pairs:
        raise IngestError(f"{folder}: no picture in images/ has a mask of the same name in masks/")
    return pairs


def split(pairs: Sequence[Pair], seed: int) -> dict[str, list[Pair]]:
    """Return the pairs by split, the labels in equal shares; the same for the same names and seed."""
    result: dict[str, list[Pair]] = {name: [] for name in _SHARES}
    for target in sorted({pair.target for pair in pairs}):
        group = sorted(
            (pair for pair in pairs if pair.target == target),
            key=lambda pair: hashlib.sha256(f"{seed} {pair.name}".encode()).digest(),
        )
        edges = [round(share * len(group)) for share in accumulate(_SHARES.values(), initial=0)]
        for name, (first, last) in zip(_SHARES, pairwise(edges), strict=True):
            result[name] += group[first:last]
    empty = [name for name, members in result.items() if not members]
    if empty:
        raise IngestError(f"{len(pairs)} pairs are too few: nothing is left for {', '.join(empty)}")
    return result


def write(pairs: Sequence[Pair], out: Path, seed: int) -> str:
    """Write one TFRecord file a split and `pairs.json`; return the data version (SHA-256 of the records).

    What is there already and the same is left alone: a file's age is what a pipeline's cache goes by.

    Raises:
        IngestError: a mask is empty, broken, or of another size than its picture.
    """
    out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    counts = {}
    paths = {name: out / name / "data-00000-of-00001.tfrecord.gz" for name in features.SPLITS}

    def hashed(name: str, members: Sequence[Pair]) -> Iterator[bytes]:
        for pair in members:
            record = _record(pair)
            digest.update(name.encode() + record)
            yield record

    for left in out.glob(".part-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".part-") as part:
        for name, members in split(pairs, seed).items():
            tfrecord.write(Path(part, name), hashed(name, members), compressed=True)
            counts[name] = {"pairs": len(members), "positives": sum(pair.target == 1 for pair in members)}
        version = digest.hexdigest()
        there = (read_json(out / MANIFEST) or {}).get("data_version")
        if version != there or not all(path.exists() for path in paths.values()):
            for name, path in paths.items():
                path.parent.mkdir(exist_ok=True)
                Path(part, name).replace(path)
            text = json.dumps({"data_version": version, "seed": seed, "splits": counts}, indent=1)
            (out / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return version


@dataclass(frozen=True)
class Loaded:
    """Pairs at the network's input size."""

    pictures: npt.NDArray[np.uint8]  # uint8 [n, height, width, 3]
    masks: npt.NDArray[np.uint8]  # uint8 [n, height, width], 0 or 255
    targets: npt.NDArray[np.int64]  # int64 [n]; -1 where UNKNOWN

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: npt.NDArray[np.int64]) -> Loaded:
        """Return the chosen rows."""
        return Loaded(self.pictures[rows], self.masks[rows], self.targets[rows])


def load(files: Sequence[Path | str], height: int, width: int) -> Loaded:
    """Read TFRecord files and resize everything to the network's input.

    Raises:
        ValueError: the files hold no pair.
    """
    pictures, masks, targets = [], [], []
    for row in records(files):
        pictures.append(images_at(row[features.IMAGE], height, width, 3))
        masks.append(images_at(row[MASK], height, width, 1)[..., 0])
        targets.append(row[features.TARGET])
    if not targets:
        raise ValueError(f"no pair in {list(files)}")
    return Loaded(np.stack(pictures), np.stack(masks), np.asarray(targets, np.int64))


def records(files: Sequence[Path | str]) -> Iterator[dict[str, Any]]:
    """Yield image_name, image, mask (bytes) and target (int) of each record."""
    for file in files:
        for values in tfrecord.examples(file):
            yield {name: tfrecord.first(values, name) for name in values}


def images_at(data: bytes, height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    """Decode and resize as serving does: antialiased, rounded to uint8 [height, width, channels]."""
    picture = images.decode_whole(tf.constant(data))[..., :channels]
    resized = tf.image.resize(picture, [height, width], antialias=True)
    return np.asarray(tf.cast(tf.round(resized), tf.uint8).numpy())


def mask_of(data: bytes) -> npt.NDArray[np.bool_]:
    """Decode a mask at its own size: bool [h, w]; the lesion is 255, or 1, or whatever a dark mask has."""
    values = tf.io.decode_image(data, channels=1, expand_animations=False).numpy()[..., 0]
    # A JPEG's edges ring by a few grey levels.
    return np.asarray(values > (127 if values.max() > 127 else 0))


def _record(pair: Pair) -> bytes:
    image, mask = pair.image.read_bytes(), pair.mask.read_bytes()
    try:
        size = tf.io.decode_image(image, channels=3, expand_animations=False).shape[:2]
        lesion = mask_of(mask)
    except tf.errors.InvalidArgumentError as error:
        raise IngestError(f"{pair.image} or its mask cannot be decoded: {error.message}") from None
    if tuple(size) != lesion.shape:
        raise IngestError(f"{pair.mask}: is {lesion.shape}, its picture {tuple(size)} (height, width)")
    if not lesion.any():
        raise IngestError(f"{pair.mask}: the mask is empty")
    # Whatever the source used for "lesion", here it is 255.
    png = tf.io.encode_png(lesion[..., None].astype(np.uint8) * 255).numpy()
    return tfrecord.encode(
        {
            features.IMAGE_NAME: pair.name.encode(),
            features.IMAGE: image,
            MASK: png,
            features.TARGET: pair.target,
        }
    )


def _targets(folder: Path) -> dict[str, int]:
    for name in ("pairs.csv", "metadata.csv"):
        if (folder / name).is_file():
            with (folder / name).open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if rows and {features.IMAGE_NAME, features.TARGET} <= set(rows[0]):
                return {row[features.IMAGE_NAME]: _target(row, folder / name) for row in rows}
    return {}


def _target(row: dict[str, str], table: Path) -> int:
    text = (row[features.TARGET] or "").strip()
    if text not in ("", "0", "1"):
        raise IngestError(
            f"{table}: {row[features.IMAGE_NAME]} has target {text!r}; give 1 for melanoma, 0 for none, "
            "or leave it empty where it is not known"
        )
    return int(text) if text else UNKNOWN
