"""A trained model, loaded once and asked about encoded images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from numpy.typing import NDArray

from core.features import IMAGE_BYTES
from core.tfserving.answers import EXPLAIN

OVERLAY: Final = "overlay_bytes"
_LOG = logging.getLogger(__name__)


class Model:
    """A SavedModel with the signatures ``serving_default`` and, if it explains itself, ``explain``.

    Raises:
        OSError: the folder holds no model.
        ValueError: it has no signature ``serving_default``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded = tf.saved_model.load(str(folder))
        if "serving_default" not in self._loaded.signatures:
            raise ValueError(f"{folder}: has no signature serving_default")

    def answer(self, images: Sequence[bytes]) -> dict[str, NDArray[Any]]:
        """Return the outputs of ``serving_default`` to encoded images, each of shape [n]."""
        outputs = self._loaded.signatures["serving_default"](**{IMAGE_BYTES: tf.constant(list(images))})
        return {name: value.numpy() for name, value in outputs.items()}

    def overlays(self, images: Sequence[bytes]) -> list[bytes]:
        """Return each image under the model's heat map as a JPEG; none if it explains nothing, or cannot.

        A model of somebody else may answer with less: a report without heat maps is better than no evaluation.
        """
        if not images or EXPLAIN not in self._loaded.signatures:
            return []
        try:
            outputs = self._loaded.signatures[EXPLAIN](**{IMAGE_BYTES: tf.constant(list(images))})
        except tf.errors.OpError as error:
            _LOG.warning("no heat maps: signature %s of %s: %s", EXPLAIN, self.folder, error.message)
            return []
        return list(outputs[OVERLAY].numpy()) if OVERLAY in outputs else []
