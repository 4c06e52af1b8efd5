"""What may stand between a backbone's features and its logits, as functions on Keras tensors.

Layer names begin with `head_`, so that the optimiser and the decay masks can tell body from head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import keras

HEADS: Final = ("pooled", "flatten_dense", "conv1x1")


def embed(
    kind: str, features: keras.KerasTensor, units: Sequence[int] = (), dropout: float = 0.0
) -> keras.KerasTensor:
    """Return the embedding, float [batch, units], of a head; each of its layers has dropout before it.

    pooled: average over height and width, then dense layers of `units`; flatten_dense: every position, which fixes
    the picture's size, then dense layers; conv1x1: 1x1 convolutions, then the average. The logits are linear and so
    is the average: logits of the average equal averaged logits.

    Raises:
        ValueError: the kind is unknown, or flatten_dense has no fixed size.
    """
    if kind not in HEADS:
        raise ValueError(f"head: {kind!r} is unknown; valid: {', '.join(HEADS)}")
    x = features
    if kind == "flatten_dense":
        if None in features.shape[1:3]:
            raise ValueError("head flatten_dense: the image size must be fixed; give the backbone a size")
        x = keras.layers.Flatten(name="head_flatten")(x)
    elif kind == "pooled":
        x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    for number, width in enumerate(units, start=1):
        x = _drop(x, dropout, f"head_dropout{number}")
        if kind == "conv1x1":
            x = keras.layers.Conv2D(width, 1, activation="relu", name=f"head_conv{number}")(x)
        else:
            x = keras.layers.Dense(width, activation="relu", name=f"head_dense{number}")(x)
    if kind == "conv1x1":
        x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    return _drop(x, dropout, "head_dropout")


def logits(embedding: keras.KerasTensor, outputs: int) -> keras.KerasTensor:
    """Return float32 logits [batch, outputs], in full precision under mixed precision too."""
    return keras.layers.Dense(outputs, dtype="float32", name="head_logits")(embedding)


def _drop(x: keras.KerasTensor, dropout: float, name: str) -> keras.KerasTensor:
    return keras.layers.Dropout(dropout, name=name)(x) if dropout else x
