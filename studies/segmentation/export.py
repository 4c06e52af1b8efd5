"""Writes the SavedModel of a U-Net: the `segment` signature, facts, warm-up requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.trainer.export import warmup
from components.trainer.export.saved_model import METADATA, WARMUP, write_warmup
from core import features
from studies.segmentation.config import MODEL_NAME
from studies.segmentation.segmenter import SEGMENT, Segmenter


def write(segmenter: Segmenter, folder: Path, *, facts: dict[str, Any]) -> None:
    """Write a self-contained SavedModel; `serving_default` answers as `segment` does.

    Args:
        segmenter: the model.
        folder: where to; replaced.
        facts: assets.extra/melanosizer.json besides version and threshold.
    """
    archive = keras.export.ExportArchive()
    archive.track(segmenter.model)
    spec = tf.TensorSpec([None], tf.string, name=features.IMAGE_BYTES)

    def segment(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return segmenter.answer(image_bytes)

    def serving_default(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return segmenter.answer(image_bytes)

    archive.add_endpoint(SEGMENT, segment, [spec])
    archive.add_endpoint("serving_default", serving_default, [spec])
    archive.write_out(str(folder), verbose=False)
    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    everything = {
        **facts,
        features.MODEL_VERSION: segmenter.version,
        features.THRESHOLD: segmenter.threshold,
        "parameters": segmenter.model.count_params(),
        "preprocessing": {
            "height": segmenter.config.height,
            "width": segmenter.config.width,
            "resize": "bilinear with antialiasing, aspect ratio squashed; mask at the picture's own size",
            "standardisation": "each channel of each picture by itself",
        },
        "config": segmenter.config.model_dump(mode="json"),
    }
    text = json.dumps(everything, indent=1, sort_keys=True)
    (extra / METADATA).write_text(text + "\n", encoding="utf-8")
    write_warmup(extra / WARMUP, [(SEGMENT, warmup.pictures())], model=MODEL_NAME)
