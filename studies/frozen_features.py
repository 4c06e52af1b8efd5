"""Features of a frozen network: what the studies train their classifiers on."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.model.backbones.backbone import Backbone
from components.trainer.model.classifier import BATCH, in_batches
from components.transform import images


class FeatureExtractor:
    """What a model (float pixels 0..255 [batch, size, size, 3] to one tensor) says of pictures of any side."""

    def __init__(self, model: keras.Model, size: int) -> None:
        """Show the model pictures of `size` px; its graph is traced once."""
        self.model = model
        self._graph = tf.function(
            lambda batch: model(images.view(batch, size), training=False), reduce_retracing=True
        )

    @classmethod
    def pooled(cls, backbone: Backbone, size: int) -> FeatureExtractor:
        """Return the averages of a network's last maps over the picture."""
        features = keras.layers.GlobalAveragePooling2D()(backbone.features)
        return cls(keras.Model(backbone.inputs, features), size)

    def __call__(
        self, pictures: npt.NDArray[np.uint8], tick: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the answers, float32 [n, ...], to uint8 [n, s, s, 3]; `tick` is told how many are done."""
        (answers,) = in_batches(lambda batch: (self._graph(batch),), [pictures], BATCH, tick)
        return np.asarray(answers, np.float32)
