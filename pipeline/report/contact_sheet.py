"""The contact sheet: a few training images as they are, and as the configured augmentation changes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf
from PIL import Image

from components.trainer.config import TrainerConfig
from components.trainer.data.augmentation import augment

SIDE: Final = 116  # px of one picture
SOURCE: Final = 160  # px; larger than shown, so that zooming in keeps its detail
CHANGED: Final = 5  # rows below the original
GAP: Final = 4  # px
QUALITY: Final = 80


def make(images: Sequence[bytes], trainer: dict[str, Any]) -> bytes | None:
    """Return a JPEG: a column an image, the original on top, changed ones below.

    None where the strategy trains on cached features, which are not augmented, or without images.

    Args:
        images: encoded training images.
        trainer: the trainer's configuration of the run.
    """
    if not images or trainer.get("strategy", "frozen") == "frozen":
        return None
    config = TrainerConfig.model_validate(trainer)
    pictures = np.stack([_square(image) for image in images])
    rows = [tf.image.resize(pictures, [SIDE, SIDE], antialias=True).numpy()]
    for number in range(CHANGED):
        # The Trainer keeps the seeds of two calls 1,000 apart.
        seed = tf.constant([config.seed, 1000 * number], tf.int64)
        rows.append(augment(tf.constant(pictures), seed, SIDE, config.augmentation).numpy())
    return _sheet(rows)


def _square(image: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(image)) as picture:
        return np.asarray(picture.convert("RGB").resize((SOURCE, SOURCE), Image.Resampling.BILINEAR))


def _sheet(rows: Sequence[np.ndarray]) -> bytes:
    step = SIDE + GAP
    sheet = Image.new("RGB", (len(rows[0]) * step - GAP, len(rows) * step - GAP), (255, 255, 255))
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            picture = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
            sheet.paste(picture, (x * step, y * step))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return out.getvalue()
