"""What may stand between a backbone's features and its logits, as functions on Keras tensors.

Each returns an embedding, float [batch, units]; `logits` stands on top of any of them. Layer names
begin with `head_`, so that the optimiser and the decay masks can tell body from head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import keras

Head = Callable[[keras.KerasTensor, Sequence[int], float], keras.KerasTensor]


def pooled(features: keras.KerasTensor, units: Sequence[int] = (), dropout: float = 0.0) -> keras.KerasTensor:
    """Average over height and width, then dense layers of `units`, each with dropout before it."""
    return _dense(keras.layers.GlobalAveragePooling2D(name="head_pool")(features), units, dropout)


def flatten_dense(
    features: keras.KerasTensor, units: Sequence[int] = (4096,), dropout: float = 0.0
) -> keras.KerasTensor:
    """Keep every position (the picture's size is then fixed), then dense layers of `units`."""
    if None in features.shape[1:3]:
        raise ValueError("head flatten_dense: the image size must be fixed; give the backbone a size")
    return _dense(keras.layers.Flatten(name="head_flatten")(features), units, dropout)


def conv1x1(
    features: keras.KerasTensor, units: Sequence[int] = (512,), dropout: float = 0.0
) -> keras.KerasTensor:
    """1x1 convolutions in place of dense layers, then the average over height and width.

    The logits are linear and so is the average: logits of the average equal averaged logits.
    """
    x = features
    for number, filters in enumerate(units, start=1):
        x = _drop(x, dropout, f"head_dropout{number}")
        x = keras.layers.Conv2D(filters, 1, activation="relu", name=f"head_conv{number}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    return _drop(x, dropout, "head_dropout")


HEADS: Final[dict[str, Head]] = {"pooled": pooled, "flatten_dense": flatten_dense, "conv1x1": conv1x1}


def embed(
    kind: str, features: keras.KerasTensor, units: Sequence[int] = (), dropout: float = 0.0
) -> keras.KerasTensor:
    """Return the embedding of the head `kind`; ValueError names the valid ones."""
    if kind not in HEADS:
        raise ValueError(f"head: {kind!r} is unknown; valid: {', '.join(HEADS)}")
    return HEADS[kind](features, units, dropout)


def logits(embedding: keras.KerasTensor, outputs: int) -> keras.KerasTensor:
    """Return float32 logits [batch, outputs], in full precision under mixed precision too."""
    return keras.layers.Dense(outputs, dtype="float32", name="head_logits")(embedding)


def _dense(x: keras.KerasTensor, units: Sequence[int], dropout: float) -> keras.KerasTensor:
    for number, width in enumerate(units, start=1):
        x = _drop(x, dropout, f"head_dropout{number}")
        x = keras.layers.Dense(width, activation="relu", name=f"head_dense{number}")(x)
    return _drop(x, dropout, "head_dropout")


def _drop(x: keras.KerasTensor, dropout: float, name: str) -> keras.KerasTensor:
    return keras.layers.Dropout(dropout, name=name)(x) if dropout else x
