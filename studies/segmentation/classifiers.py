"""The classifiers of the second study: features are extracted once, what learns on them is cheap or small."""

from __future__ import annotations

from typing import Final

import keras
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.trainer.model.backbones import registry
from studies.frozen_features import FeatureExtractor

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_BATCH: Final = 32


def frequency_weights(targets: Labels) -> dict[int, float]:
    """Return the study's weight of each label: 1 - frequency."""
    share = float(np.mean(targets))
    return {0: share, 1: 1.0 - share}


class FrozenLinear:
    """Logistic regression on pooled features of EfficientNet-Lite0, its penalty chosen by inner folds."""

    name = "EfficientNet-Lite0 features, logistic regression"

    def __init__(self, weights: str = "imagenet", size: int = 192) -> None:
        backbone = registry.build(
            "efficientnet_lite0", size=size, weights=weights, on_missing_weights="random"
        )
        self.weights = backbone.weights
        self._features = FeatureExtractor.pooled(backbone, size)

    def extract(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """Features averaged over the picture and its mirror image: float32 [n, 1280]."""
        return np.asarray((self._features(pictures) + self._features(pictures[:, :, ::-1])) / 2, np.float32)

    def fit_predict(self, train: Floats, targets: Labels, held_out: Floats, seed: int) -> Floats:
        """Loss weighted by 1 - frequency of the label."""
        model = make_pipeline(
            StandardScaler(),
            LogisticRegressionCV(
                Cs=(1e-4, 1e-3, 1e-2),
                cv=3,
                scoring="roc_auc",
                class_weight=frequency_weights(targets),
                max_iter=400,
                random_state=seed,
            ),
        ).fit(train, targets)
        return np.asarray(model.predict_proba(held_out)[:, 1], np.float32)


class FifthBlock:
    """VGG-16 with its first four blocks frozen: the fifth is fine-tuned on what the fourth says of each picture."""

    name = "VGG-16, fifth block fine-tuned"

    def __init__(self, weights: str = "imagenet", size: int = 128, epochs: int = 8) -> None:
        self._backbone = registry.build("vgg16", size=size, weights=weights, on_missing_weights="random")
        self.weights = self._backbone.weights
        self._core = self._backbone.model()
        fourth = self._core.get_layer("block4_pool").output
        self._features = FeatureExtractor(keras.Model(self._backbone.inputs, fourth), size)
        self._epochs = epochs

    def extract(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """The fourth block's maps: float32 [n, size/16, size/16, 512]."""
        return self._features(pictures)

    def fit_predict(self, train: Floats, targets: Labels, held_out: Floats, seed: int) -> Floats:
        """Loss weighted by 1 - frequency of the label; momentum and a small rate, as for fine-tuning."""
        keras.utils.set_random_seed(seed)
        model = self._top(train.shape[1:])
        model.compile(
            keras.optimizers.SGD(1e-4, momentum=0.9),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )
        weight = frequency_weights(targets)
        per_row = np.array([weight[int(target)] for target in targets], np.float32) * 2
        model.fit(
            train,
            targets[:, None].astype(np.float32),
            sample_weight=per_row,
            batch_size=_BATCH,
            epochs=self._epochs,
            verbose=0,
        )
        logits = model.predict(held_out, batch_size=_BATCH, verbose=0)[:, 0]
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)

    def _top(self, shape: tuple[int, ...]) -> keras.Model:
        """The fifth block with its weights as they were, and the study's dense head."""
        inputs = x = keras.Input(shape)
        for number in (1, 2, 3):
            old = self._core.get_layer(f"block5_conv{number}")
            layer = keras.layers.Conv2D.from_config(old.get_config())
            x = layer(x)
            layer.set_weights(old.get_weights())
        x = keras.layers.MaxPooling2D(name="block5_pool")(x)
        x = keras.layers.Flatten(name="head_flatten")(x)
        x = keras.layers.Dense(256, activation="relu", name="head_dense")(x)
        x = keras.layers.Dropout(0.5, name="head_dropout")(x)
        return keras.Model(inputs, keras.layers.Dense(1, name="head_logits")(x))
