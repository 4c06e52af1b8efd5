"""Answers for image files, from a SavedModel in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from core.features import IMAGE_BYTES, PROBABILITY


def probabilities(model: Path, files: Sequence[Path], batch: int) -> Iterator[tuple[Path, float | None]]:
    """Yield each file with its probability, None where it is no image."""
    answer = tf.saved_model.load(str(model)).signatures["serving_default"]

    def ask(images: list[bytes]) -> list[float]:
        outputs = answer(**{IMAGE_BYTES: tf.constant(images)})
        return [float(value) for value in outputs[PROBABILITY].numpy()]

    for start in range(0, len(files), batch):
        group = files[start : start + batch]
        images = [path.read_bytes() for path in group]
        try:
            yield from zip(group, ask(images), strict=True)
        except tf.errors.InvalidArgumentError:
            # One broken file fails its whole batch: ask again one by one.
            for path, data in zip(group, images, strict=True):
                try:
                    yield path, ask([data])[0]
                except tf.errors.InvalidArgumentError:
                    yield path, None
