"""Answers to images, from a SavedModel in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import tensorflow as tf

from core.features import IMAGE_BYTES, PROBABILITY


def probabilities(
    model: Path, images: Iterable[tuple[str, bytes]], batch: int
) -> Iterator[tuple[str, float | None]]:
    """Yield each name with its probability, None where the graph cannot decode the image.

    Args:
        model: folder of the SavedModel.
        images: names and encoded images; a batch of them is held at a time.
        batch: how many images are asked at once.
    """
    answer = tf.saved_model.load(str(model)).signatures["serving_default"]

    def ask(encoded: list[bytes]) -> list[float]:
        outputs = answer(**{IMAGE_BYTES: tf.constant(encoded)})
        return [float(value) for value in outputs[PROBABILITY].numpy()]

    rest = iter(images)
    while group := list(islice(rest, batch)):
        names, encoded = zip(*group, strict=True)
        try:
            yield from zip(names, ask(list(encoded)), strict=True)
        except tf.errors.InvalidArgumentError:
            # One broken image fails its whole batch: ask again one by one.
            for name, data in group:
                try:
                    yield name, ask([data])[0]
                except tf.errors.InvalidArgumentError:
                    yield name, None
