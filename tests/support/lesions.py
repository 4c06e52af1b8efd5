"""Small made-up records: discs on skin, where the dark and ragged ones are positive."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from core import features

DIAGNOSES = {0: ("nv", "bkl"), 1: ("mel",)}


def picture(draw: np.random.Generator, positive: bool, size: tuple[int, int] = (72, 60)) -> Image.Image:
    skin = tuple(int(v) for v in np.array([225, 180, 160]) + draw.integers(-20, 20, 3))
    image = Image.new("RGB", size, skin)
    width, height = size
    centre = np.array([width / 2, height / 2]) + draw.normal(0, 3, 2)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ragged = draw.normal(0, 0.35 if positive else 0.05, 24)
    radius = height * draw.uniform(0.2, 0.3) * (1 + ragged)
    points = [
        (centre[0] + r * np.cos(a), centre[1] + r * np.sin(a)) for r, a in zip(radius, angles, strict=True)
    ]
    dark = draw.integers(40, 110) if positive else draw.integers(80, 150)
    ImageDraw.Draw(image).polygon(points, fill=(int(dark), int(dark * 0.6), int(dark * 0.5)))
    return image


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def example(name: str, image: bytes, target: int, diagnosis: str, **optional: object) -> tf.train.Example:
    def strings(*values: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    columns = {
        features.IMAGE: strings(image),
        features.IMAGE_NAME: strings(name.encode()),
        features.SOURCE: strings(b"test"),
        features.GROUP_ID: strings(name.encode()),
        features.TARGET: tf.train.Feature(int64_list=tf.train.Int64List(value=[target])),
    }
    if diagnosis:
        columns[features.DIAGNOSIS] = strings(diagnosis.encode())
    for key, value in optional.items():
        if isinstance(value, str):
            columns[key] = strings(value.encode())
        else:
            columns[key] = tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))
    return tf.train.Example(features=tf.train.Features(feature=columns))


def write_split(folder: Path, count: int, seed: int) -> str:
    """Writes `count` records, a quarter of them positive, in two shards; returns their pattern."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    shards = [
        tf.io.TFRecordWriter(str(folder / f"data-{i:05d}-of-00002.tfrecord.gz"), "GZIP") for i in range(2)
    ]
    for number in range(count):
        target = int(number % 4 == 0)
        diagnosis = DIAGNOSES[target][number // 4 % len(DIAGNOSES[target])]
        optional: dict[str, object] = {}
        if number % 3:
            optional = {
                features.SEX: "female" if number % 2 else "male",
                features.AGE: float(draw.integers(20, 80)),
                features.SITE: "trunk",
            }
        record = example(
            f"{folder.name}-{number}", jpeg(picture(draw, target == 1)), target, diagnosis, **optional
        )
        shards[number % 2].write(record.SerializeToString())
    for shard in shards:
        shard.close()
    return str(folder / "data-*")
