"""A trained U-Net with everything around it: from encoded pictures to masks at the pictures' own sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.export import saved_model
from components.trainer.export.saved_model import WARMUP, write_warmup
from components.transform import images
from core import features
from core.hashing import FACTS
from studies.segmentation import region, unet
from studies.segmentation.config import MODEL_NAME, SegmentationConfig

SEGMENT: Final = "segment"  # the signature
MASK: Final = "mask"  # string [batch], PNG of the picture's own size: 255 lesion, 0 skin
FRACTION: Final = "lesion_fraction"  # float32 [batch], share of the picture
CONFIDENCE: Final = "confidence"  # float32 [batch], mean probability inside the lesion

_CHUNK: Final = 32

# Traced once a process: its two floods cost seconds each time.
_find: Final = tf.function(region.one_region, reduce_retracing=True)


def regions(probabilities: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.bool_]:
    """Return one filled region a map (float32 [n, h, w]): bool [n, h, w]."""
    limit = tf.constant(threshold)
    return in_chunks(lambda part: _find(tf.constant(part), limit).numpy() >= threshold, probabilities)


def in_chunks(answer: Callable[[Any], npt.NDArray[Any]], rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the answers to all rows, asked a few at a time."""
    parts = [answer(rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK)]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Segmenter:
    """The network, the threshold that was fitted on eval, and the version."""

    config: SegmentationConfig
    model: keras.Model
    threshold: float
    version: str

    def answer(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """segment: encoded pictures (string [batch]) to the named answers, each [batch].

        A mask is a PNG, because the pictures of a batch may differ in size and a tensor's rows may not.

        Raises:
            tf.errors.InvalidArgumentError: bytes that are no picture (see components/transform/images.py).
        """
        small, sizes = tf.map_fn(
            self._decoded,
            image_bytes,
            fn_output_signature=(
                tf.TensorSpec([self.config.height, self.config.width, 3], tf.float32),
                tf.TensorSpec([2], tf.int32),
            ),
            parallel_iterations=4,
        )
        probability = self.probabilities(small)
        field = region.one_region(probability, self.threshold)
        inside = tf.cast(field >= self.threshold, tf.float32)
        masks = tf.map_fn(
            lambda one: self._encoded(one[0], one[1]),
            (field, sizes),
            fn_output_signature=tf.TensorSpec([], tf.string),
            parallel_iterations=4,
        )
        area = tf.reduce_sum(inside, axis=[1, 2])
        return {
            MASK: masks,
            FRACTION: tf.reduce_mean(inside, axis=[1, 2]),
            CONFIDENCE: tf.reduce_sum(probability * inside, axis=[1, 2]) / tf.maximum(area, 1.0),
            features.MODEL_VERSION: tf.fill(tf.shape(image_bytes), self.version),
        }

    def probabilities(self, pixels: tf.Tensor) -> tf.Tensor:
        """Float pixels 0..255 [batch, height, width, 3] to float32 [batch, height, width], the mean of all views."""
        prepared = unet.prepare(pixels)
        shown = [tf.sigmoid(self.model(prepared, training=False))]
        if self.config.views >= 2:
            shown.append(tf.sigmoid(self.model(prepared[:, :, ::-1], training=False))[:, :, ::-1])
        if self.config.views == 4:
            shown.append(tf.sigmoid(self.model(prepared[:, ::-1], training=False))[:, ::-1])
            shown.append(tf.sigmoid(self.model(prepared[:, ::-1, ::-1], training=False))[:, ::-1, ::-1])
        return tf.add_n(shown) / float(len(shown))

    def small_masks(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Masks at the network's size of pictures (uint8 [n, height, width, 3]): bool [n, height, width]."""
        return regions(self.small_probabilities(pictures), self.threshold)

    def small_probabilities(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The map behind `small_masks`: float32 [n, height, width]."""
        look = tf.function(self.probabilities, reduce_retracing=True)
        return in_chunks(lambda part: look(tf.cast(part, tf.float32)).numpy(), pictures)

    def _decoded(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        picture = images.decode_whole(data)
        small = tf.image.resize(picture, [self.config.height, self.config.width], antialias=True)
        return tf.round(small), tf.shape(picture)[:2]

    def _encoded(self, field: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        large = tf.image.resize(field[..., None], size, method="bilinear")
        return tf.io.encode_png(tf.cast(large >= self.threshold, tf.uint8) * tf.constant(255, tf.uint8))


def write(segmenter: Segmenter, folder: Path, *, facts: dict[str, Any]) -> None:
    """Write a self-contained SavedModel in place of `folder`; `serving_default` answers as `segment` does.

    `facts` stand in assets.extra/melanosizer.json beside version, threshold and what else is known here.
    """
    archive = keras.export.ExportArchive()
    archive.track(segmenter.model)
    spec = tf.TensorSpec([None], tf.string, name=features.IMAGE_BYTES)
    for name in (SEGMENT, "serving_default"):
        archive.add_endpoint(name, segmenter.answer, [spec])
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
    (folder / FACTS).write_text(text + "\n", encoding="utf-8")
    write_warmup(extra / WARMUP, [(SEGMENT, saved_model.warmup_pictures())], model=MODEL_NAME)
