"""Features of a frozen network: what the studies train their classifiers on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.model.backbones.backbone import Backbone
from components.transform import images

_BATCH: Final = 32


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
        """Return the answers, float32 [n, ...], to uint8 [n, s, s, 3]; `tick` is told how many are begun."""
        rows = []
        for start in range(0, len(pictures), _BATCH):
            batch = np.ascontiguousarray(pictures[start : start + _BATCH])
            rows.append(self._graph(tf.constant(batch)).numpy())
            if tick is not None:
                tick(start)
        return np.asarray(np.concatenate(rows), np.float32)
