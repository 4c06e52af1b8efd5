"""The contact sheet: a few training images as they are, and as the configured augmentation changes them."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import tensorflow as tf
from PIL import Image

from components.trainer.config import TrainerConfig
from components.trainer.data.augmentation import augment
from components.trainer.data.records import Split

FILE_NAME: Final = "contact_sheet.jpg"
SIDE: Final = 116  # px of one picture
SOURCE: Final = 160  # px; larger than shown, so that zooming in keeps its detail
OTHERS, MELANOMAS = 5, 3  # columns
CHANGED: Final = 5  # rows below the original
GAP: Final = 4  # px
QUALITY: Final = 80


def make(train: Split, config: TrainerConfig) -> bytes | None:
    """Return a JPEG: a column an image, the original on top, changed ones below.

    None for the frozen strategy: it trains on cached features, which are not augmented.
    """
    if config.strategy == "frozen":
        return None
    chosen = [
        *np.flatnonzero(train.targets == 0)[:OTHERS].tolist(),
        *np.flatnonzero(train.targets == 1)[:MELANOMAS].tolist(),
    ]
    whole = [Image.fromarray(np.asarray(train.pictures[row])) for row in chosen]
    pictures = np.stack(
        [np.asarray(one.resize((SOURCE, SOURCE), Image.Resampling.BILINEAR)) for one in whole]
    )
    rows = [tf.image.resize(pictures, [SIDE, SIDE], antialias=True).numpy()]
    for number in range(CHANGED):
        # The Trainer keeps the seeds of two calls 1,000 apart.
        seed = tf.constant([config.seed, 1000 * number], tf.int64)
        rows.append(augment(tf.constant(pictures), seed, SIDE, config.augmentation).numpy())
    tiles = np.pad(
        np.clip(np.rint(np.stack(rows)), 0, 255).astype(np.uint8),
        [(0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)],
        constant_values=255,
    )
    down, across, step, _, _ = tiles.shape
    sheet = tiles.transpose(0, 2, 1, 3, 4).reshape(down * step, across * step, 3)[:-GAP, :-GAP]
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return out.getvalue()
