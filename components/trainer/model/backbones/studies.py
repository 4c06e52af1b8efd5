"""The networks of the studies this product grew from, and a tiny one for smoke tests.

None of them brings preprocessing along: they expect pixels standardised by the Transform step.
The parameter counts that the study gives include its dense layers: head flatten_dense.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import keras

from components.trainer.model.backbones.backbone import Backbone, WeightsUnavailableError, blocks_by_key


def _base_cnn(x: keras.KerasTensor) -> keras.KerasTensor:
    """Lay the first study's base network: pairs of valid 3x3 convolutions (256 px give 12x12x256)."""
    for number, filters in enumerate((32, 64, 128, 256), start=1):
        for conv in (1, 2):
            x = keras.layers.Conv2D(filters, 3, activation="relu", name=f"block{number}_conv{conv}")(x)
        x = keras.layers.MaxPooling2D(name=f"block{number}_pool")(x)
    return x


def _deeper_cnn(x: keras.KerasTensor) -> keras.KerasTensor:
    """Lay VGG-16's five blocks (Simonyan and Zisserman 2014, configuration D; 224 px give 7x7x512)."""
    for number, (filters, convs) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for conv in range(1, convs + 1):
            x = keras.layers.Conv2D(
                filters, 3, padding="same", activation="relu", name=f"block{number}_conv{conv}"
            )(x)
        x = keras.layers.MaxPooling2D(name=f"block{number}_pool")(x)
    return x


def _tiny_cnn(x: keras.KerasTensor) -> keras.KerasTensor:
    """Lay a small separable network: seconds an epoch on one core, enough to prove a pipeline."""
    for number, filters in enumerate((16, 32, 64, 128, 192), start=1):
        layer = keras.layers.Conv2D if number == 1 else keras.layers.SeparableConv2D
        x = layer(filters, 3, strides=2, padding="same", use_bias=False, name=f"block{number}_conv")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"block{number}_bn")(x)
        x = keras.layers.ReLU(name=f"block{number}_act")(x)
    return x


# name: (its layers, the smallest side)
_NETWORKS: Final[dict[str, tuple[Callable[[keras.KerasTensor], keras.KerasTensor], int]]] = {
    "base_cnn": (_base_cnn, 76),
    "deeper_cnn": (_deeper_cnn, 32),
    "tiny_cnn": (_tiny_cnn, 32),
}
NAMES: Final = tuple(_NETWORKS)
LEAST: Final = {name: least for name, (_, least) in _NETWORKS.items()}  # side of a picture, px


def build(name: str, size: int | None, imagenet: bool) -> Backbone:
    """Build the network `name` with random weights; there are no others unless a file holds them."""
    layers, _ = _NETWORKS[name]
    if imagenet:
        raise WeightsUnavailableError(f"{name} was never trained on ImageNet: its weights are none or a file")
    inputs = keras.Input((size, size, 3), name="image")
    features = layers(inputs)
    blocks, ends = blocks_by_key(keras.Model(inputs, features), re.compile(r"^(block\d)"))
    return Backbone(name, inputs, features, "standardised", blocks, ends)
