"""Where the model looked: overlays of its own `explain` signature, for the report's worst errors."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import Final

import tensorflow as tf
from PIL import Image

from components.trainer.export.explain import OVERLAY
from core.features import IMAGE_BYTES
from pipeline.report.lesions import QUALITY, Lesions

EXPLAIN: Final = "explain"


def of(model: Path, lesions: Lesions, names: Collection[str]) -> dict[str, bytes]:
    """Return JPEGs of lesions under the model's heat map, by name; {} for a model that explains nothing.

    Args:
        model: the SavedModel's folder.
        lesions: the images, and thumbnails, whose size the answers get.
        names: the images asked about; those without a thumbnail are left out.

    Raises:
        OSError, ValueError: the model cannot be loaded, or does not answer about these images.
    """
    asked = sorted(lesions.originals.keys() & set(names))
    if not asked:
        return {}
    try:
        overlays = _overlays(model, [lesions.originals[name] for name in asked])
    except tf.errors.OpError as error:
        raise ValueError(f"{model}: signature {EXPLAIN}: {error.message}") from None
    return {
        name: _in_proportion(overlay, lesions.pictures[name])
        for name, overlay in zip(asked, overlays, strict=False)
    }


def _overlays(model: Path, images: list[bytes]) -> list[bytes]:
    """Return the model's overlay of every image; none where it has no such signature."""
    loaded = tf.saved_model.load(str(model))
    if EXPLAIN not in loaded.signatures:
        return []
    answers = loaded.signatures[EXPLAIN](**{IMAGE_BYTES: tf.constant(images)})
    return list(answers[OVERLAY].numpy())


def _in_proportion(overlay: bytes, thumbnail: bytes) -> bytes:
    """Return the square overlay in the thumbnail's size: side by side, both show a spot at the same place."""
    with Image.open(io.BytesIO(thumbnail)) as picture:
        size = picture.size
    out = io.BytesIO()
    with Image.open(io.BytesIO(overlay)) as square:
        stretched = square.resize(size, Image.Resampling.LANCZOS)
    stretched.save(out, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return out.getvalue()
